"""Points of scaling laws: scores of a study's cells in every resample of test blocks and training draws.

Each resample draws test blocks (the same for all cells of a subject) and weights of the training draws (the
same for all sizes), and computes the score of every point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxscale.encoding import MomentsFile
from voxscale.errors import UserError, naming
from voxscale.io import tables
from voxscale.laws.variables import DATA, SIZES
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores import cell_scores, check_same_test, read_sets
from voxscale.statistics import METRICS, TimeBlocks, block_counts, draw_weights, require_blocks, skipped_trs

_X_COLUMNS = DATA | {name: name for name in SIZES}


@dataclass(frozen=True)
class Point:
    """One point of a law.

    Args:
        about: model, layer, n_train, family, wide, n_draws of the cell.
        x: size of the model or amount of data.
        n_blocks: number of test blocks that are scored.
        y: set -> (resamples, metrics); row 0 is the real test set.
        ceiling: set -> (metrics,) largest score that the noise ceilings of its voxels allow.
        n_voxels: set -> number of voxels averaged, and of those left out because some cell does not score
            them.
    """

    about: Mapping[str, Any]
    x: float
    n_blocks: int
    y: Mapping[str, np.ndarray]
    ceiling: Mapping[str, np.ndarray]
    n_voxels: Mapping[str, tuple[int, int]]

    def has(self, name: str) -> bool:
        """Whether it has a score over a set of voxels."""
        return name in self.y and bool(np.isfinite(self.y[name][0]).all())


def _describe_cells(
    summary: pa.Table,
    cells: Iterable[Sequence[Any]],
    x: str,
    where: str,
    n_draws: int,
    columns: Mapping[str, float],
) -> dict[tuple, dict]:
    """Rows of the summary for each cell, its draws averaged: (model, layer, subject, n_train) -> row.

    Args:
        n_draws: number of draws in the law's own sweep. A cell that is also in another sweep may have more;
            only these first ones are common to all points of the law.
        columns: model -> x, where the user gives it.

    Raises:
        UserError: a cell has no summary, or its model no such x.
    """
    rows: dict[tuple, list[dict]] = {}
    own = pc.and_(pc.equal(summary["voxel_set"], "all"), pc.less(summary["draw"], n_draws))
    for row in summary.filter(own).to_pylist():
        rows.setdefault((row["model"], row["layer"], row["subject"], row["n_train"]), []).append(row)
    found = {}
    for cell in map(tuple, cells):
        if cell not in rows:
            name = " ".join(str(part) for part in cell)
            raise UserError(f"results/tables/summary.parquet: lacks cell {name}; gather the scores again")
        draws = rows[cell]
        values = [columns.get(cell[0]) or row.get(_X_COLUMNS.get(x)) or 0 for row in draws]
        if not min(values) > 0:
            raise UserError(f"{where}.x: model {cell[0]} has no {x}; choose another x or other models")
        found[cell] = draws[0] | {
            "x": float(np.mean(values)),
            "mean_cv_r": float(np.mean([row["mean_cv_r"] for row in draws])),
            "mean_r": float(np.mean([row["mean_r"] for row in draws])),
            "wide": any(row["wide"] for row in draws),
            "n_draws": len(draws),
        }
    return found


def choose_cells(about: Mapping[tuple, dict], x: str, layer_choice: str) -> list[tuple]:
    """Cells that are points: the chosen one of several layers; for a law over models the largest n_train.

    Args:
        layer_choice: `cv`: the layer with the best held-out score inside the training stories; `test`: with
            the best test score, which favours models with more layers.
    """
    rank = {"cv": "mean_cv_r", "test": "mean_r"}[layer_choice]
    layers: dict[tuple, list[tuple]] = {}
    for cell in about:
        layers.setdefault((cell[0], *cell[2:]), []).append(cell)
    chosen = [
        max(group, key=lambda cell: np.nan_to_num(about[cell][rank], nan=-2)) for group in layers.values()
    ]
    if x in DATA:
        return chosen
    most = {subject: max(cell[3] for cell in chosen if cell[2] == subject) for _, _, subject, _ in chosen}
    return [cell for cell in chosen if cell[3] == most[cell[2]]]


def ceiling_bounds(ccmax: np.ndarray, sets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Largest mean r and mean r² that the voxels' ceilings allow: set -> (metrics,).

    ASSUME: a ceiling that is too high by chance counts in full, so that the bound is rather too high; without
    any ceiling it is 1.

    Args:
        ccmax: (voxels,); 0 where it is undefined, NaN where a voxel has no score either.
    """
    known = np.isfinite(ccmax)
    bounds = {}
    for name, inside in sets.items():
        here = ccmax[inside & known]
        bounds[name] = np.array([here.mean(), (here**2).mean()]) if here.any() else np.ones(len(METRICS))
    return bounds


def score_points(
    moments: Mapping[tuple, str | Path],
    about: Mapping[tuple, dict],
    voxels: str | Path,
    wanted: Sequence[str],
    where: str,
    settings: Mapping[str, Any],
) -> dict[str, list[Point]]:
    """Points of every subject.

    Args:
        moments: (model, layer, subject, n_train) -> file of each cell that is a point.
        about: of `_describe_cells`; its n_draws are the draws averaged.
        voxels: table `voxels`.
        wanted: voxel sets, which config key `where` names.
        settings: skip_s, tr_s, draws, interval, seed.

    Raises:
        UserError: cells of one subject tested on different TRs; too few of them; other voxels than `voxels`.
    """
    known = read_sets(voxels)
    cells = {cell: MomentsFile(path, known[cell[2]].voxels, voxels) for cell, path in moments.items()}
    counts = _block_counts(cells, settings)
    points: dict[str, list[Point]] = {}
    for cell, opened in bar(cells.items(), "resample", unit="cell"):
        mine, resamples = known[cell[2]], counts[cell[2]]
        sets, n_blocks = mine.choose(wanted, where), resamples.shape[1]
        # (draws, resamples, sets, metrics)
        scores = cell_scores(opened, skipped_trs(settings), resamples, sets, about[cell]["n_draws"])
        weights = draw_weights(
            len(scores), settings["draws"], settings["seed"], settings["interval"], n_blocks
        )
        y = dict(zip(sets, np.einsum("drsm,rd->srm", scores, weights), strict=True))
        counts_of = {name: (int(inside.sum()), mine.left_out(name)) for name, inside in sets.items()}
        bounds = ceiling_bounds(mine.ccmax, sets)
        point = Point(about[cell], about[cell]["x"], n_blocks, y, bounds, counts_of)
        points.setdefault(mine.subject, []).append(point)
    return points


def _block_counts(cells: Mapping[tuple, MomentsFile], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Resamples of each subject's test blocks: subject -> (1 + draws, blocks).

    Subjects tested on the same TRs share their resamples, as they share the stimulus; others have their own.
    """
    by_subject: dict[str, list[MomentsFile]] = {}
    for cell, opened in cells.items():
        by_subject.setdefault(cell[2], []).append(opened)
    tests: list[TimeBlocks] = []  # that differ
    counts = {}
    for subject, mine in by_subject.items():
        check_same_test(mine)
        blocks = mine[0].blocks
        with naming(f"config key scoring.block_trs: {subject}"):
            n_blocks = require_blocks(blocks, skipped_trs(settings))
        if not any(blocks.same(other) for other in tests):
            tests.append(blocks)
        number = next(i for i, other in enumerate(tests) if blocks.same(other))
        counts[subject] = block_counts(
            n_blocks, settings["draws"], (settings["seed"], number), blocks.inflation
        )
    return counts


def read_points(
    cells: Sequence[Sequence[Any]],
    moments: Sequence[str | Path],
    summary: str | Path,
    voxels: str | Path,
    x: str,
    spec: Mapping[str, Any],
    where: str,
    settings: Mapping[str, Any],
) -> dict[str, list[Point]]:
    """Points of a law from its cells, of every subject.

    Args:
        cells: (model, layer, subject, n_train) of a sweep.
        moments: their files, in the same order.
        summary, voxels: the gathered tables.
        x: of `SIZES` or `DATA`, or the name of the user's own column.
        spec: voxels, the sets wanted; n_draws of the sweep; columns, model -> x where the user gives it.
        where: the config key of the law.
        settings: skip_s, tr_s, draws, interval, seed, layer_choice.
    """
    given = spec.get("columns", {})
    about = _describe_cells(tables.read("summary", summary), cells, x, where, spec["n_draws"], given)
    files = dict(zip(map(tuple, cells), moments, strict=True))
    chosen = {cell: files[cell] for cell in choose_cells(about, x, settings["layer_choice"])}
    return score_points(chosen, about, voxels, spec["voxels"], where, settings)


def points_provenance(
    points: Mapping[str, list[Point]], spec: Mapping[str, Any], settings: Mapping[str, Any], **extra: Any
) -> dict[str, Any]:
    """Provenance of a law, with the number of test blocks that each subject's points rest on."""
    blocks = {subject: mine[0].n_blocks for subject, mine in points.items() if mine}
    return collect(spec=dict(spec), settings=dict(settings), test_blocks=blocks, **extra)
