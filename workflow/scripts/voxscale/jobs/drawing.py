"""Records of the rules that draw the figures and write the report."""

from collections.abc import Callable, Iterator
from typing import Any

from voxscale.jobs import exports
from voxscale.jobs.data import per_subject
from voxscale.jobs.figures import Figure, figures_of
from voxscale.jobs.record import Parameter, Rule, Wildcards, light
from voxscale.jobs.resources import PLOTS, Need, plain
from voxscale.jobs.sizes import Sizes
from voxscale.study import Study


def _one(rows: float) -> Need:
    """One figure from tables of so many rows."""
    return plain(45.0 * rows, 5e6, 3 * 70.0 * rows, 20.0, base=PLOTS)


def _of_voxels(sizes: Sizes, **wildcards: str) -> Need:
    return _one(sum(sizes.rows(sizes.study.map_cells)))


def _drawing(sizes: Sizes, figure: str) -> Need:
    of_voxels = {"scores", "voxels"} & set(figures_of(sizes.study)[figure].inputs(sizes.study))
    return _of_voxels(sizes) if of_voxels else _one(1e4)


def _of_figure(fact: Callable[[Figure, Study], Any]) -> Parameter:
    return lambda study, w: fact(figures_of(study)[w["figure"]], study)


def _exported(study: Study) -> Iterator[Wildcards]:
    for subject in study.subjects:
        for export in exports.exports_of(study, subject):
            yield {"subject": subject, "maps": export.name}


def _exporting(sizes: Sizes, subject: str, maps: str) -> Need:
    cells = exports.export_named(sizes.study, subject, maps).cells
    rows = float(sizes.voxels(subject) * max(1, len(cells)))
    return plain(90.0 * rows, 50.0 * sizes.voxels(subject), 200.0 * rows + 4e8)


_REPORT: dict[str, Parameter] = {
    "config": lambda study, w: study.config,
    "models": lambda study, w: {m: study.registry[m].revision for m in study.grid.used_models},
    "figures": lambda study, w: [[figure.category, figure.text] for figure in figures_of(study).values()],
    "chief_laws": lambda study, w: study.chief_laws,
    "untrained": lambda study, w: study.untrained,
    "notes": lambda study, w: study.notes,
    "cautions": lambda study, w: study.cautions,
    "stories": lambda study, w: study.dataset.story_table(),
    "steps": lambda study, w: study.dataset.steps,
}

RULES = (
    Rule(
        "draw_figure",
        outputs={
            "figure": "results/figures/{figure}.png",
            "figure_pdf": "results/figures/{figure}.pdf",
            "figure_csv": "results/figures/{figure}.csv",
        },
        jobs=lambda study: [{"figure": name} for name in figures_of(study)],
        need=_drawing,
        params={
            "draw": _of_figure(lambda figure, study: figure.draw),
            "options": _of_figure(lambda figure, study: figure.options(study)),
            "caption": _of_figure(lambda figure, study: figure.text),
        },
        numbers=("figures",),
    ),
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
        "export_images",
        outputs={"export": "results/export/{subject}/{maps}"},
        jobs=_exported,
        need=_exporting,
        params={
            "settings": lambda study, w: exports.export_named(study, **w).settings(study),
        },
        means=lambda study, w: exports.export_means(study),
        on_request=True,
    ),
    Rule(
        "write_report",
        outputs={"report": "results/report.html"},
        need=lambda sizes: _one(sizes.all_voxels),
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
