"""Scores along a model's depth, the layer chosen in training, and what choosing on the test set would add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores.voxel_sets import choose_sets, read_sets
from voxscale.statistics import METRICS, Moments, block_counts, cell_scores, interval, skipped_trs

PROFILE = ("model", "subject", "voxel_set")


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
    if len({(cell[0], cell[2], cell[3]) for cell in asked}) > len({(cell[0], cell[2]) for cell in asked}):
        raise UserError(
            "config key profiles.sweep: has several n_train; profile a sweep of one training size"
        )
    found: dict[tuple, list[dict]] = {}
    for row in summary.to_pylist():
        name = row["voxel_set"]
        if name not in wanted and not ("rois" in wanted and name.startswith("roi:")):
            continue
        if (row["model"], row["layer"], row["subject"], row["n_train"]) in asked:
            found.setdefault((row["model"], row["subject"], name, row["layer"]), []).append(row)
    rows = [
        {
            "model": model,
            "layer": layer,
            "subject": subject,
            "voxel_set": name,
            "family": draws[0]["family"],
            "depth": draws[0]["depth"],
            **{
                key: float(np.mean([row[key] for row in draws])) for key in ("mean_r", "mean_r2", "mean_cv_r")
            },
        }
        for (model, subject, name, layer), draws in sorted(found.items())
    ]
    best: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        mine = best.setdefault(tuple(row[key] for key in PROFILE), {"mean_cv_r": row, "mean_r": row})
        for key, leader in mine.items():
            if np.nan_to_num(row[key], nan=-2) > np.nan_to_num(leader[key], nan=-2):
                mine[key] = row
    return [
        row
        | {
            "chosen": best[tuple(row[key] for key in PROFILE)]["mean_cv_r"] is row,
            "best_on_test": best[tuple(row[key] for key in PROFILE)]["mean_r"] is row,
        }
        for row in rows
    ]


def optimism(r: np.ndarray, cv_r: np.ndarray, sets: Mapping[str, np.ndarray]) -> list[dict[str, float | str]]:
    """Test scores of layers chosen by cross-validation and on the test set itself.

    Args:
        r: (layers, voxels) test correlations; cv_r: the same inside the training stories.

    Returns:
        rows of table `layer_choice` but for model and subject.
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
        for unit, (by_cv, by_test) in choices.items():
            for metric in METRICS:
                score = (lambda x: x * np.abs(x)) if metric == "r2" else (lambda x: x)
                one, other = float(score(by_cv).mean()), float(score(by_test).mean())
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
    wanted: Sequence[str] = ("all", "reliable", "significant", "rois"),
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
    rows = profiles(tables.read("summary", summary), cells, wanted)
    ends = {
        (*cell[:3], name): values
        for cell, path in zip(map(tuple, cells), bar(moments, "resample", unit="cell"), strict=True)
        for name, values in mean_intervals(path, cell[2], known, wanted, settings).items()
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
        found = [first_draw(files[cell]) for cell in mine]
        r, cv_r = (np.stack([columns[name] for columns in found]) for name in ("r", "cv_r"))
        sets = choose_sets(known[subject][1], list(wanted), "config key profiles", subject)
        choices += [{"model": model, "subject": subject} | row for row in optimism(r, cv_r, sets)]
    tables.write("layer_choice", choices, output_choice, provenance)


def mean_intervals(
    path: str | Path,
    subject: str,
    known: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray], np.ndarray]],
    wanted: Sequence[str],
    settings: Mapping[str, Any],
) -> dict[str, dict[str, float]]:
    """Ends of the intervals of mean r and r² of one cell: set -> columns of table `layers`."""
    opened, cut = Moments(path), skipped_trs(settings)
    n_blocks = int(opened.blocks.kept(cut).sum())
    counts = block_counts(n_blocks, settings["draws"], settings["seed"])
    sets = choose_sets(known[subject][1], list(wanted), "config key profiles", subject)
    scores = cell_scores(opened, cut, counts, sets).mean(0)  # (resamples, sets, metrics)
    ends = interval(scores[0], scores[1:], settings["interval"], n_blocks)
    return {
        name: {
            f"{metric}_{end}": float(values[s, m])
            for m, metric in enumerate(METRICS)
            for end, values in zip(("lo", "hi"), ends, strict=True)
        }
        for s, name in enumerate(sets)
    }


def first_draw(path: str | Path) -> dict[str, np.ndarray]:
    """r and cv_r (voxels,) of a cell's first draw."""
    table = tables.read("scores", path, ["draw", "r", "cv_r"])
    first = table["draw"].to_numpy() == table["draw"][0].as_py()
    return {name: table[name].to_numpy()[first] for name in ("r", "cv_r")}
