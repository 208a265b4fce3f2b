"""Records of the rules that gather scores and analyse them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from voxscale.jobs.data import per_subject
from voxscale.jobs.record import Rule, Wildcards, light, once_if
from voxscale.jobs.resources import CPU_FLOPS, DISK_BYTES, MB, NETWORK, START_S, Need, plain
from voxscale.jobs.sizes import REPEATS, Sizes
from voxscale.study import (
    Cell,
    Study,
    bootstrap_settings,
    ceiling_settings,
    comparison_settings,
    fit_means,
    fit_settings,
    joint_spec,
    lag_settings,
    law_spec,
)


def _listed(cells: Sequence[Cell]) -> list[list[Any]]:
    return [list(cell) for cell in cells]


def _selections(study: Study) -> list[Wildcards]:
    """Selections of cells that any other rule asks for."""
    sweeps = [law["sweep"] for law in study.config["laws"].values()]
    others = [study.profile_sweep, study.config["joint"].get("sweep")]
    others += [f"comparison-{name}" for name in study.config["comparisons"]]
    return [{"selection": name} for name in dict.fromkeys(["all", "maps", *sweeps, *filter(None, others)])]


def _tested(study: Study, w: Wildcards) -> list[str]:
    """Test stories: jobs read them from the responses, which they do not wait for again (`ancient`)."""
    return study.dataset.test(w["subject"])


def _families(study: Study, w: Wildcards) -> dict[str, str]:
    models = {cell.model for cell in study.selections[w["selection"]]} & study.registry.keys()
    return {model: study.registry[model].family for model in sorted(models)}


def _tables_of_voxels(study: Study, subjects: Iterable[str]) -> list[str]:
    """Tables of voxels that the user wrote."""
    tables = map(study.chosen_voxels, dict.fromkeys(subjects))
    return [table for table in tables if isinstance(table, str)]


def has_truth(study: Study) -> bool:
    """Whether what is found can be compared with what is true."""
    return study.dataset.kind == "phantom" and "nested" in study.config["laws"] and not study.missing


def _estimating(sizes: Sizes, subject: str) -> Need:
    voxels, test = sizes.voxels(subject), sizes.test_trs(subject)
    held = 8.0 * REPEATS * test * voxels  # every repeat of the test stories
    flops = 4.0 * REPEATS**2 * test * voxels  # each repeat left out once
    return plain(held / 2, 250.0 * voxels, min(held, 2e9), flops / CPU_FLOPS)


def _scanning_lags(sizes: Sizes, subject: str) -> Need:
    """Each voxel with the word rate at 21 shifts and all delays, there and back."""
    series, stories = 21.0 * len(sizes.study.config["encoding"]["delays"]), sizes.study.heard(subject)
    trs, voxels = sum(map(sizes.trs, stories)), sizes.voxels(subject)
    held = 4.0 * 1024 * (2 * trs + 3 * series * len(stories)) + 40.0 * series * trs
    return plain(4.0 * trs * voxels, 3e3 * len(stories), held, 4 * series * trs * voxels / CPU_FLOPS)


def _stacking(sizes: Sizes, subject: str) -> Need:
    members, voxels = len(sizes.study.config["stacking"]["members"]), sizes.voxels(subject)
    train, trs = sizes.train_trs(subject), sizes.train_trs(subject) + sizes.test_trs(subject)
    held = 8.0 * min(voxels, 4096) * (members + 2) * trs  # a block of voxels
    read = 4.0 * (members + 1) * trs * voxels
    flops = 4.0 * members**2 * train * voxels
    return plain(read, 100.0 * voxels, held, flops / CPU_FLOPS + 1e-4 * voxels, base=NETWORK)


def _streaming(sizes: Sizes, rows: float, largest: float) -> Need:
    """Tables of so many rows of scores, of which those of the largest cell are in memory."""
    held = 3 * 70.0 * (2.0**19 + largest) + 200.0 * sizes.all_voxels
    return plain(90.0 * rows, 45.0 * rows, held, 4e-7 * rows)


def _gathering(sizes: Sizes, selection: str) -> Need:
    """Scores of the selection; scores and block moments of the cells that choose the significant voxels."""
    chosen, references = sizes.study.selections[selection], sizes.study.reference_cells
    rows, more = sizes.rows(chosen), sizes.rows(references)
    need = _streaming(sizes, sum(rows), max([*rows, *more], default=0))
    jackknife = _resampling(sizes, references, _test_blocks(sizes))  # each block left out once
    memory = max(need.memory_mb, jackknife.memory_mb) + 16.0 * sum(more) / MB  # p of every voxel
    seconds = need.seconds + jackknife.seconds - START_S + 90.0 * sum(more) / DISK_BYTES
    return replace(need, memory_mb=memory, seconds=seconds)


def _test_blocks(sizes: Sizes) -> float:
    study = sizes.study
    return max(sizes.test_trs(s) for s in study.subjects) / study.config["scoring"]["block_trs"]


def _resampling(sizes: Sizes, cells: Sequence[Cell], draws: float | None = None) -> Need:
    """Laws, profiles and artifacts, from block moments of all cells, one cell in memory."""
    values = [_test_blocks(sizes) * rows for rows in sizes.rows(cells)]
    flops = 2.0 * 5 * (draws or sizes.study.config["bootstrap"]["draws"]) * sum(values)
    return plain(20.0 * sum(values), 1e6, 3 * 20.0 * max(values, default=0) + 4e7, flops / CPU_FLOPS)


def _comparing(sizes: Sizes, comparison: str) -> Need:
    """Resamples and permutations of both fits, some voxels at a time."""
    config = sizes.study.config
    cells = [cell for both in sizes.study.comparison(comparison).values() for cell in both]
    need = _resampling(sizes, cells, config["bootstrap"]["draws"] + 2 * config["scoring"]["permutations"])
    drawn = config["bootstrap"]["draws"] + config["scoring"]["permutations"]
    return replace(need, memory_mb=need.memory_mb + 8.0 * 20 * 1024 * drawn / MB)


def _profiling(sizes: Sizes) -> Need:
    rows = sum(sizes.rows(sizes.study.profile_cells))
    need = _resampling(sizes, sizes.study.profile_cells)
    return replace(need, memory_mb=max(need.memory_mb, _streaming(sizes, rows, rows).memory_mb))


def _measuring_room(sizes: Sizes) -> Need:
    rows = sum(sizes.rows(sizes.study.map_cells))
    return _streaming(sizes, rows, rows)


RULES = (
    Rule(
        "scan_lags",
        outputs={
            "lags": "results/lags/{subject}.parquet",
            "lag_curves": "results/lags/{subject}-curves.parquet",
        },
        jobs=per_subject(),
        need=_scanning_lags,
        params={
            "stories": lambda study, w: study.heard(w["subject"]),
            "test_stories": _tested,
            "settings": lambda study, w: lag_settings(study),
        },
        numbers=("lags",),
    ),
    Rule(
        "estimate_ceiling",
        outputs={
            "ceiling": "results/ceiling/{subject}.parquet",
            "drift": "results/ceiling/{subject}-drift.parquet",
        },
        jobs=per_subject(),
        need=_estimating,
        params={"test_stories": _tested, "settings": lambda study, w: ceiling_settings(study)},
        numbers=("ceiling",),
        sources=lambda study, w: _tables_of_voxels(study, [w["subject"]]),
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
        means=lambda study, w: fit_means(study),
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
            "cells": lambda study, w: _listed(
                [cell for cell in study.selections[w["selection"]] if cell in study.grid.draws]
            ),
            "references": lambda study, w: _listed(study.reference_cells),
            "families": _families,
            "voxel_tables": lambda study, w: study.voxel_tables(),
            "settings": lambda study, w: (
                study.picked("scoring.fdr")
                | {"n_alphas": study.config["encoding"]["alphas"]["n"]}
                | study.picked("scoring.skip_s", "dataset.tr_s")
            ),
        },
        numbers=("scores",),
        sources=lambda study, w: _tables_of_voxels(
            study, (cell.subject for cell in study.selections[w["selection"]])
        ),
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
        "compare_models",
        outputs={
            "comparison": "results/comparisons/{comparison}.parquet",
            "comparison_sets": "results/comparisons/{comparison}-sets.parquet",
        },
        jobs=lambda study: [{"comparison": name} for name in study.config["comparisons"]],
        need=_comparing,
        params={
            "cells": lambda study, w: [
                [list(cell) for cell in both] for both in study.comparison(w["comparison"]).values()
            ],
            "settings": lambda study, w: comparison_settings(study),
        },
        numbers=("scores",),
    ),
    Rule(
        "measure_room",
        outputs={"room": "results/tables/room.parquet"},
        jobs=once_if(lambda study: study.ceiling_kind != "none"),
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
        "measure_asymmetry",
        outputs={"asymmetry": "results/tables/asymmetry.parquet"},
        jobs=once_if(lambda study: study.homologues),
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
