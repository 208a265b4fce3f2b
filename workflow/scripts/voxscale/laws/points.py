"""Points of scaling laws: scores of a study's cells in every resample of test blocks and training draws.

Every resample draws test blocks (the same for all cells of a subject) and weighs training draws (the same for
all sizes), and scores every point anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxscale.errors import UserError
from voxscale.progress import bar
from voxscale.scores import choose_sets, read_sets
from voxscale.statistics import (
    METRICS,
    Blocks,
    Moments,
    block_counts,
    cell_scores,
    check_same_test,
    draw_weights,
    require_blocks,
    skipped_trs,
)

POOLED = "pooled"
DATA = {"hours": "train_hours", "stories": "n_train", "trs": "train_trs"}
X_COLUMNS = DATA | {name: name for name in ("parameters", "parameters_non_embedding", "width")}


@dataclass(frozen=True)
class Point:
    """One point of a law.

    Args:
        about: model, layer, n_train, family, wide, n_draws of the cell.
        x: where it stands.
        n_blocks: test blocks that it rests on.
        y: set -> (resamples, metrics); row 0 is the real test set.
        ceiling: set -> (metrics,) largest score that the noise ceilings of its voxels allow.
    """

    about: Mapping[str, Any]
    x: float
    n_blocks: int
    y: Mapping[str, np.ndarray]
    ceiling: Mapping[str, np.ndarray]


def describe_cells(
    summary: pa.Table, cells: Iterable[Sequence[Any]], x: str, where: str, n_draws: int
) -> dict[tuple, dict]:
    """What the summary says of each cell, its draws averaged: (model, layer, subject, n_train) -> row.

    Args:
        n_draws: draws that the law's own sweep asks for. A cell that another sweep shares may have more; only
            these first ones are common to all points of the law.

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
        values = [row[X_COLUMNS[x]] for row in draws]
        if None in values or not all(value > 0 for value in values):
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
    """Cells that are points: of several layers the chosen one; for a law over models the largest n_train.

    Args:
        layer_choice: `cv`: the layer with the best held-out score inside the training stories; `test`: with
            the best test score, which flatters models with more layers.
    """
    rank = {"cv": "mean_cv_r", "test": "mean_r"}[layer_choice]
    layers: dict[tuple, list[tuple]] = {}
    for cell in about:
        layers.setdefault((cell[0], *cell[2:]), []).append(cell)
    chosen = [max(group, key=lambda cell: about[cell][rank]) for group in layers.values()]
    if x in DATA:
        return chosen
    most = {subject: max(cell[3] for cell in chosen if cell[2] == subject) for _, _, subject, _ in chosen}
    return [cell for cell in chosen if cell[3] == most[cell[2]]]


def ceiling_bounds(ccmax: np.ndarray, sets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Largest mean r and mean r² that the voxels' ceilings allow: set -> (metrics,).

    ASSUME: a ceiling that noise made too high counts in full, so that the bound errs upwards; without any
    ceiling it is 1.

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
    cells: Mapping[tuple, Moments],
    about: Mapping[tuple, dict],
    voxels: str | Path,
    wanted: list[str],
    where: str,
    settings: Mapping[str, Any],
) -> dict[str, list[Point]]:
    """Points of every subject.

    Subjects tested on the same TRs share their resamples, as they share the stimulus; others have their own.

    Args:
        about: of `describe_cells`; its n_draws are the draws averaged.
        settings: skip_s, tr_s, draws, interval, seed.

    Raises:
        UserError: cells of one subject tested on different TRs; too few of them; other voxels than `voxels`.
    """
    cut = skipped_trs(settings)
    tests = _tests(cells)
    sharing: list[Blocks] = []
    counts = {}
    for subject, blocks in tests.items():
        n_blocks = require_blocks(blocks, cut, subject)
        if not any(blocks.same(other) for other in sharing):
            sharing.append(blocks)
        seed = settings["seed"], next(i for i, other in enumerate(sharing) if blocks.same(other))
        counts[subject] = block_counts(n_blocks, settings["draws"], seed)
    known = read_sets(voxels)
    points: dict[str, list[Point]] = {}
    for cell, moments in bar(cells.items(), "resample", unit="cell"):
        subject = cell[2]
        ids, sets, ccmax = known[subject]
        if not np.array_equal(moments.voxels, ids):
            raise UserError(f"{moments.path}: has other voxels than {voxels}; fit the cell again")
        sets = choose_sets(sets, wanted, where, subject)
        n_draws = about[cell]["n_draws"]
        # (draws, resamples, sets, metrics)
        scores = cell_scores(moments, cut, counts[subject], sets, n_draws)
        n_blocks = counts[subject].shape[1]
        weights = draw_weights(
            len(scores), settings["draws"], settings["seed"], settings["interval"], n_blocks
        )
        mean = np.einsum("drsm,rd->srm", scores, weights)
        points.setdefault(subject, []).append(
            Point(
                about[cell],
                about[cell]["x"],
                n_blocks,
                dict(zip(sets, mean, strict=True)),
                ceiling_bounds(ccmax, sets),
            )
        )
    return points


def _tests(cells: Mapping[tuple, Moments]) -> dict[str, Blocks]:
    """Test blocks of each subject, the same in all of its cells."""
    by_subject: dict[str, list[Moments]] = {}
    for (_, _, subject, _), moments in cells.items():
        by_subject.setdefault(subject, []).append(moments)
    for mine in by_subject.values():
        check_same_test(mine)
    return {subject: mine[0].blocks for subject, mine in by_subject.items()}


def pool(points: Mapping[str, list[Point]], over_models: bool) -> list[Point]:
    """Mean over subjects at the points that all of them have.

    ASSUME: the subjects are these subjects; the pooled interval does not speak of others.
    """

    def key(point: Point) -> tuple:
        return (point.about["model"],) if over_models else (point.about["model"], point.about["n_train"])

    by_subject = [{key(point): point for point in mine} for mine in points.values()]
    pooled = []
    for shared in by_subject[0]:
        if not all(shared in mine for mine in by_subject):
            continue
        same = [mine[shared] for mine in by_subject]
        sets = [name for name in same[0].y if all(name in point.y for point in same)]
        layers = {point.about["layer"] for point in same}
        pooled.append(
            Point(
                same[0].about
                | {
                    "layer": layers.pop() if len(layers) == 1 else None,
                    "wide": any(point.about["wide"] for point in same),
                },
                float(np.mean([point.x for point in same])),
                min(point.n_blocks for point in same),
                {name: np.mean([point.y[name] for point in same], 0) for name in sets},
                {name: np.mean([point.ceiling[name] for point in same], 0) for name in sets},
            )
        )
    return pooled


def read_points(
    moments: Mapping[tuple, str | Path],
    about: Mapping[tuple, dict],
    voxels: str | Path,
    spec: Mapping[str, Any],
    over_models: bool,
    where: str,
    settings: Mapping[str, Any],
) -> dict[str, list[Point]]:
    """Points of every subject as `score_points` has them and, of several subjects, those of their mean.

    Args:
        moments: file of each cell that is a point.
        spec: voxels, the sets wanted.
    """
    opened = {cell: Moments(path) for cell, path in moments.items()}
    points = score_points(opened, about, voxels, list(spec["voxels"]), where, settings)
    if len(points) > 1 and (pooled := pool(points, over_models)):
        points = points | {POOLED: pooled}
    return points


def blocks_by_subject(points: Mapping[str, list[Point]]) -> dict[str, int]:
    """Test blocks that each subject's points rest on."""
    return {subject: mine[0].n_blocks for subject, mine in points.items() if mine}
