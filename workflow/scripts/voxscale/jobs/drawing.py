"""Records of the rules that draw the figures and write the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxscale.jobs import resources
from voxscale.jobs.analysis import has_truth
from voxscale.jobs.data import per_subject
from voxscale.jobs.record import Parameter, Rule, light, once_if
from voxscale.jobs.resources import Need
from voxscale.jobs.sizes import Sizes
from voxscale.study import Study


def _of_voxels(sizes: Sizes) -> Need:
    return resources.figure(sum(sizes.rows(sizes.study.map_cells)))


def _of_tables(sizes: Sizes) -> Need:
    return resources.figure(1e4)


def _drawing(
    name: str,
    need: Callable[..., Need] = _of_tables,
    when: Callable[[Study], Any] = lambda study: True,
    options: Callable[[Study], dict[str, Any]] = lambda study: {},
) -> Rule:
    """The record of one figure."""
    return Rule(
        f"draw_{name}",
        outputs={f"{name}_{kind}": f"results/figures/{name}.{kind}" for kind in ("png", "pdf", "csv")},
        jobs=once_if(when),
        need=need,
        params={"options": lambda study, w: options(study)},
        numbers=("figures",),
    )


def _law(kind: str, name: str) -> Rule:
    def options(study: Study) -> dict[str, Any]:
        law, interval = study.chief_laws[kind], study.config["bootstrap"]["interval"]
        return {"law": law, "interval": interval, "voxel_sets": study.law_drawn(law)}

    return _drawing(name, when=lambda study: kind in study.chief_laws, options=options)


def _has_stacks(study: Study) -> bool:
    return bool(study.config["stacking"]["members"])


FIGURES = (
    _law("language", "score_by_language_model_size"),
    _law("speech", "score_by_speech_model_size"),
    _law("training", "score_by_training_hours"),
    _drawing(
        "score_by_layer",
        when=lambda study: study.profile_cells,
        options=lambda study: {"order": study.by_size(study.profile_cells)},
    ),
    _drawing("map_scores", _of_voxels),
    _drawing("score_distribution", _of_voxels),
    _drawing("map_ceiling", _of_voxels),
    _drawing("ceiling_distribution", _of_voxels),
    _drawing("ceiling_drift", _of_voxels),
    _drawing("stacking_gain", _of_voxels, _has_stacks),
    _drawing("variance_partition", _of_voxels, _has_stacks),
    _drawing("long_context_artifact", options=lambda study: {"cut_s": study.config["scoring"]["skip_s"]}),
    _drawing("controls", options=lambda study: {"controls": study.untrained}),
    _drawing("what_next", when=lambda study: study.joint_cells),
    _drawing(
        "plateau",
        when=lambda study: study.plateau_arms,
        options=lambda study: {"arms": study.plateau_arms},
    ),
    _drawing("validation", when=has_truth),
)

_REPORT: dict[str, Parameter] = {
    "config": lambda study, w: study.config,
    "models": lambda study, w: study.revisions,
    "chief_laws": lambda study, w: study.chief_laws,
    "untrained": lambda study, w: study.untrained,
    "notes": lambda study, w: study.notes,
    "stories": lambda study, w: study.dataset.story_table(),
}

RULES = (
    *FIGURES,
    Rule(
        "draw_flatmap",
        outputs={"flatmap": "results/figures/flatmaps/{subject}.png"},
        jobs=per_subject(lambda study: study.dataset.kind == "ds003020" and study.map_cells),
        need=_of_voxels,
        params={
            "model": lambda study, w: study.map_cells[0].model,
            "database": lambda study, w: str(study.dataset.pycortex_db),
        },
        numbers=("figures",),
        on_request=True,  # pycortex is optional
    ),
    Rule(
        "write_report",
        outputs={"report": "results/report.html"},
        need=lambda sizes: resources.figure(sizes.all_voxels),
        params=_REPORT,
        numbers=("report",),
    ),
    Rule(
        "compare_resources",
        outputs={"resources": "results/resources.html"},
        need=light,
        on_request=True,
    ),
)
