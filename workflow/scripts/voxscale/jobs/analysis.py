"""Records of the rules that gather scores and analyse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voxscale.jobs import resources
from voxscale.jobs.data import per_subject
from voxscale.jobs.record import Rule, Wildcards, light, once_if
from voxscale.jobs.resources import Need
from voxscale.jobs.sizes import REPEATS, Sizes
from voxscale.study import (
    Cell,
    Study,
    bootstrap_settings,
    ceiling_settings,
    fit_settings,
    joint_spec,
    law_spec,
)


def _listed(cells: Sequence[Cell]) -> list[list[Any]]:
    return [list(cell) for cell in cells]


def _selections(study: Study) -> list[Wildcards]:
    """Selections of cells that any other rule asks for."""
    sweeps = [law["sweep"] for law in study.config["laws"].values()]
    others = [study.profile_sweep, study.config["joint"].get("sweep")]
    return [{"selection": name} for name in dict.fromkeys(["all", "maps", *sweeps, *filter(None, others)])]


def _gather_settings(study: Study, w: Wildcards) -> dict[str, Any]:
    scoring = study.config["scoring"]
    return {
        "fdr": scoring["fdr"],
        "n_alphas": study.config["encoding"]["alphas"]["n"],
        "skip_s": scoring["skip_s"],
        "tr_s": study.config["dataset"]["tr_s"],
    }


def has_truth(study: Study) -> bool:
    """Whether what is found can be compared with what is true."""
    return study.dataset.kind == "phantom" and "nested" in study.config["laws"]


def _stacking(sizes: Sizes, subject: str) -> Need:
    members = len(sizes.study.config["stacking"]["members"])
    return resources.stack(members, sizes.train_trs(subject), sizes.test_trs(subject), sizes.voxels(subject))


def _gathering(sizes: Sizes, selection: str) -> Need:
    rows = sizes.rows(sizes.study.selections[selection])
    return resources.gathering(sum(rows), max(rows, default=0), sizes.all_voxels)


def _resampling(sizes: Sizes, cells: Sequence[Cell]) -> Need:
    study = sizes.study
    blocks = max(sizes.test_trs(s) for s in study.subjects) / study.config["scoring"]["block_trs"]
    rows = sizes.rows(cells)
    draws = study.config["bootstrap"]["draws"]
    return resources.from_moments(blocks * sum(rows), blocks * max(rows, default=0), draws)


def _profiling(sizes: Sizes) -> Need:
    rows = sizes.rows(sizes.study.profile_cells)
    scores = resources.gathering(sum(rows), sum(rows), sizes.all_voxels)
    need = _resampling(sizes, sizes.study.profile_cells)
    return replace(need, memory_mb=max(need.memory_mb, scores.memory_mb))


def _measuring_room(sizes: Sizes) -> Need:
    rows = sum(sizes.rows(sizes.study.map_cells))
    return resources.gathering(rows, rows, sizes.all_voxels)


RULES = (
    Rule(
        "estimate_ceiling",
        outputs={
            "ceiling": "results/ceiling/{subject}.parquet",
            "drift": "results/ceiling/{subject}-drift.parquet",
        },
        jobs=per_subject(),
        need=lambda sizes, subject: resources.ceiling(
            sizes.voxels(subject), sizes.test_trs(subject), REPEATS
        ),
        params={"settings": lambda study, w: ceiling_settings(study)},
        numbers=("ceiling",),
    ),
    Rule(
        "stack_models",
        outputs={
            "stacking": "results/stacking/{subject}.parquet",
            "stacking_weights": "results/stacking/{subject}-weights.parquet",
        },
        jobs=per_subject(lambda study: study.config["stacking"]["members"]),
        need=_stacking,
        params={
            "cells": lambda study, w: _listed(study.stacking_cells(w["subject"])),
            "settings": lambda study, w: fit_settings(study) | bootstrap_settings(study),
        },
        numbers=("stacking",),
    ),
    Rule(
        "gather_scores",
        outputs={
            name: f"results/tables/{{selection}}/{name}.parquet" for name in ("scores", "summary", "voxels")
        },
        jobs=_selections,
        need=_gathering,
        params={
            "voxel_tables": lambda study, w: study.voxel_tables(),
            "settings": _gather_settings,
        },
        numbers=("scores",),
    ),
    Rule(
        "fit_law",
        outputs={
            "laws": "results/laws/{law}.parquet",
            "law_points": "results/laws/{law}-points.parquet",
            "law_curves": "results/laws/{law}-curves.parquet",
        },
        jobs=lambda study: [{"law": law} for law in study.config["laws"]],
        need=lambda sizes, law: _resampling(sizes, sizes.study.law_cells(law)),
        params={
            "cells": lambda study, w: _listed(study.law_cells(w["law"])),
            "spec": lambda study, w: law_spec(study, w["law"]),
            "settings": lambda study, w: bootstrap_settings(study),
        },
        numbers=("laws",),
    ),
    Rule(
        "fit_joint",
        outputs={
            "joint": "results/laws/joint/law.parquet",
            "joint_surface": "results/laws/joint/surface.parquet",
            "what_next": "results/laws/joint/what_next.parquet",
        },
        jobs=once_if(lambda study: study.joint_cells),
        need=lambda sizes: _resampling(sizes, sizes.study.joint_cells),
        params={
            "cells": lambda study, w: _listed(study.joint_cells),
            "spec": lambda study, w: joint_spec(study),
            "settings": lambda study, w: bootstrap_settings(study),
        },
        numbers=("laws",),
    ),
    Rule(
        "analyse_plateau",
        outputs={
            "plateau": "results/laws/plateau/points.parquet",
            "plateau_fits": "results/laws/plateau/fits.parquet",
        },
        jobs=once_if(lambda study: study.plateau_arms),
        need=light,
        params={"models": lambda study, w: study.law_models(study.chief_laws["language"])},
        numbers=("laws",),
    ),
    Rule(
        "profile_layers",
        outputs={
            "layers": "results/tables/layers.parquet",
            "layer_choice": "results/tables/layer_choice.parquet",
        },
        jobs=once_if(lambda study: study.profile_cells),
        need=_profiling,
        params={
            "cells": lambda study, w: _listed(study.profile_cells),
            "settings": lambda study, w: bootstrap_settings(study),
        },
        numbers=("scores",),
    ),
    Rule(
        "measure_room",
        outputs={"room": "results/tables/room.parquet"},
        need=_measuring_room,
        numbers=("scores",),
    ),
    Rule(
        "measure_artifact",
        outputs={"artifact": "results/tables/artifact.parquet"},
        need=lambda sizes: _resampling(sizes, sizes.study.map_cells),
        params={
            "cells": lambda study, w: _listed(study.map_cells),
            "settings": lambda study, w: bootstrap_settings(study),
        },
        numbers=("scores",),
    ),
    Rule(
        "validate_phantom",
        outputs={"validation": "results/validation.json"},
        jobs=once_if(has_truth),
        need=light,
        params={"interval": lambda study, w: study.config["bootstrap"]["interval"]},
        numbers=("phantom",),
    ),
)
