"""Scores along a model's depth, the layer chosen in training, and what choosing on the test set would add."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.encoding import MomentsFile
from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores.cells import cell_scores
from voxscale.scores.voxel_sets import VoxelSets, is_wanted, read_sets
from voxscale.statistics import METRICS, block_counts, interval, skipped_trs

_SETS = ("all", "reliable", "significant", "rois")
_MEANS = ("mean_r", "mean_r2", "mean_cv_r")


def profiles(
    summary: pa.Table, cells: Sequence[Sequence[Any]], wanted: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of table `layers`: the cells' summaries, draws averaged, the chosen layer marked.

    Args:
        summary: table `summary`.
        cells: (model, layer, subject, n_train) of the layer sweep; each model and subject at one n_train.
        wanted: names of voxel sets, `rois` standing for all regions.
    """
    asked = {tuple(cell) for cell in cells}
    if len({(cell[0], *cell[2:]) for cell in asked}) > len({(cell[0], cell[2]) for cell in asked}):
        raise UserError(
            "config key profiles.sweep: has several n_train; profile a sweep of one training size"
        )
    found: dict[tuple, list[dict]] = {}
    for row in summary.to_pylist():
        key = row["model"], row["layer"], row["subject"], row["n_train"]
        if key in asked and is_wanted(row["voxel_set"], wanted):
            key = row["model"], row["subject"], row["voxel_set"], row["layer"]
            found.setdefault(key, []).append(row)
    rows: list[dict[str, Any]] = []
    for _, layers in itertools.groupby(sorted(found), key=lambda key: key[:3]):
        profile = []
        for model, subject, name, layer in layers:
            draws = found[model, subject, name, layer]
            row = {"model": model, "layer": layer, "subject": subject, "voxel_set": name}
            row |= {key: draws[0][key] for key in ("family", "depth")}
            profile.append(row | {key: float(np.mean([draw[key] for draw in draws])) for key in _MEANS})
        for mark, rank in (("chosen", "mean_cv_r"), ("best_on_test", "mean_r")):
            best = np.argmax(np.nan_to_num([row[rank] for row in profile], nan=-2))
            for i, row in enumerate(profile):
                row[mark] = i == best
        rows += profile
    return rows


def optimism(r: np.ndarray, cv_r: np.ndarray, sets: Mapping[str, np.ndarray]) -> list[dict[str, float | str]]:
    """Test scores of layers chosen by cross-validation and on the test set itself.

    Args:
        r: (layers, voxels) test correlations; cv_r: the same inside the training stories.

    Returns:
        rows of table `layer_choice` without model and subject.
    """
    rows: list[dict[str, float | str]] = []
    for name, inside in sets.items():
        known = inside & np.isfinite(r).all(0) & np.isfinite(cv_r).all(0)
        if not known.any():
            continue
        test, cv = r[:, known].astype(float), cv_r[:, known].astype(float)
        voxel = np.arange(known.sum())
        choices = {
            "set": (test[cv.mean(1).argmax()], test[test.mean(1).argmax()]),
            "voxel": (test[cv.argmax(0), voxel], test[test.argmax(0), voxel]),
        }
        for unit, chosen in choices.items():
            for metric in METRICS:
                one, other = (float((x * np.abs(x) if metric == "r2" else x).mean()) for x in chosen)
                row = {"voxel_set": name, "unit": unit, "metric": metric}
                rows.append(row | {"by_cv": one, "by_test": other, "optimism": other - one})
    return rows


def write_layers(
    cells: Sequence[Sequence[Any]],
    scores: Sequence[str | Path],
    moments: Sequence[str | Path],
    summary: str | Path,
    voxels: str | Path,
    output: str | Path,
    output_choice: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Write tables `layers` and `layer_choice` of a layer sweep.

    Args:
        cells: (model, layer, subject, n_train) of the sweep.
        scores, moments: table `scores` and moments of each of them.
        summary, voxels: the gathered tables.
        settings: skip_s, tr_s, draws, interval, seed.
    """
    provenance = collect(sweep=[list(cell) for cell in cells])
    known = read_sets(voxels)
    rows = profiles(tables.read("summary", summary), cells, _SETS)
    ends = {
        (*cell[:3], name): values
        for cell, path in zip(map(tuple, cells), bar(moments, "resample", unit="cell"), strict=True)
        for name, values in _mean_intervals(path, known[cell[2]], settings).items()
    }
    for row in rows:
        row |= ends[row["model"], row["layer"], row["subject"], row["voxel_set"]]
    tables.write("layers", rows, output, provenance)
    files = {tuple(cell): path for cell, path in zip(cells, scores, strict=True)}
    choices: list[dict[str, Any]] = []
    for model, subject in dict.fromkeys((cell[0], cell[2]) for cell in cells):
        mine = sorted(cell for cell in files if (cell[0], cell[2]) == (model, subject))
        if len(mine) < 2:
            continue
        found = [_first_draw(files[cell]) for cell in mine]
        r, cv_r = (np.stack([columns[name] for columns in found]) for name in ("r", "cv_r"))
        sets = known[subject].choose(_SETS, "config key profiles")
        choices += [{"model": model, "subject": subject} | row for row in optimism(r, cv_r, sets)]
    tables.write("layer_choice", choices, output_choice, provenance)


def _mean_intervals(
    path: str | Path, subject: VoxelSets, settings: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Ends of the intervals of mean r and r² of one cell: set -> columns of table `layers`."""
    cell, cut = MomentsFile(path), skipped_trs(settings)
    n_blocks = int(cell.blocks.kept(cut).sum())
    counts = block_counts(n_blocks, settings["draws"], settings["seed"])
    sets = subject.choose(_SETS, "config key profiles")
    scores = cell_scores(cell, cut, counts, sets).mean(0)  # (resamples, sets, metrics)
    ends = dict(
        zip(("lo", "hi"), interval(scores[0], scores[1:], settings["interval"], n_blocks), strict=True)
    )
    return {
        name: {f"{metric}_{end}": float(ends[end][s, m]) for m, metric in enumerate(METRICS) for end in ends}
        for s, name in enumerate(sets)
    }


def _first_draw(path: str | Path) -> dict[str, np.ndarray]:
    """r and cv_r (voxels,) of a cell's first draw."""
    table = tables.read("scores", path, ["draw", "r", "cv_r"])
    first = table["draw"].to_numpy() == table["draw"][0].as_py()
    return {name: table[name].to_numpy()[first] for name in ("r", "cv_r")}
