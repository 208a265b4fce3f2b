"""Scores along a model's depth, the layer chosen in training, and what choosing on the test set would add."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    asked = pd.DataFrame([tuple(cell) for cell in cells], columns=["model", "layer", "subject", "n_train"])
    if (asked.groupby(["model", "subject"]).n_train.nunique() > 1).any():
        raise UserError(
            "config key profiles.sweep: has several n_train; profile a sweep of one training size"
        )
    found = summary.to_pandas().merge(asked.drop_duplicates())
    found = found[[is_wanted(name, wanted) for name in found.voxel_set]]
    profile = ["model", "subject", "voxel_set"]
    columns = {"family": "first", "depth": "first"} | dict.fromkeys(_MEANS, "mean")
    rows = found.groupby([*profile, "layer"], as_index=False).agg(columns)
    for mark, rank in (("chosen", "mean_cv_r"), ("best_on_test", "mean_r")):
        best = rows.fillna({rank: -2}).groupby(profile)[rank].transform("idxmax")
        rows[mark] = rows.index == best
    return rows.to_dict("records")


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

    `layer_choice` has no row where stories are tested on in turn: the training stories of all folds, by which
    a layer is chosen, are the test stories, and what the other choice would add says nothing.

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
    files = {tuple(cell): paths for cell, *paths in zip(cells, scores, moments, strict=True)}
    choices: list[dict[str, Any]] = []
    for model, subject in dict.fromkeys((cell[0], cell[2]) for cell in cells):
        mine = sorted(cell for cell in files if (cell[0], cell[2]) == (model, subject))
        if len(mine) < 2 or MomentsFile(files[mine[0]][1]).blocks.crossed:
            continue
        found = [first_draw(files[cell][0]) for cell in mine]
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
    counts = block_counts(n_blocks, settings["draws"], settings["seed"], cell.blocks.inflation)
    sets = subject.choose(_SETS, "config key profiles")
    scores = cell_scores(cell, cut, counts, sets).mean(0)  # (resamples, sets, metrics)
    ends = np.stack(interval(scores[0], scores[1:], settings["interval"], n_blocks), -1)
    columns = [f"{metric}_{end}" for metric in METRICS for end in ("lo", "hi")]
    return {name: dict(zip(columns, ends[s].ravel().tolist(), strict=True)) for s, name in enumerate(sets)}


def first_draw(path: str | Path) -> dict[str, np.ndarray]:
    """voxel, r and cv_r (voxels,) of a cell's first draw."""
    table = tables.read("scores", path, ["draw", "voxel", "r", "cv_r"])
    first = table["draw"].to_numpy() == table["draw"][0].as_py()
    return {name: table[name].to_numpy()[first] for name in ("voxel", "r", "cv_r")}
