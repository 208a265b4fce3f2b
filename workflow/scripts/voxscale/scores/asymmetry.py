"""Left less right: how much better the models of the maps predict a region than its homologue."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset import homologues
from voxscale.encoding import MomentsFile
from voxscale.io import tables
from voxscale.provenance import collect
from voxscale.scores.cells import cell_scores, open_cells
from voxscale.scores.comparison import POOLED
from voxscale.scores.voxel_sets import VoxelSets
from voxscale.statistics import METRICS, block_counts, interval, skipped_trs


def write_asymmetry(
    cells: Sequence[Sequence[Any]],
    moments: Sequence[str | Path],
    voxels: str | Path,
    output: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Write table `asymmetry`: of each model, subject and pair of regions, and of the mean of subjects.

    Both sides are scored in the same resamples of test blocks: what they share is not in the interval of
    their difference. Sides that differ in their noise ceilings differ in their scores as well.

    Args:
        cells: (model, layer, subject, n_train) of each file of moments.
        settings: skip_s, tr_s, draws, interval, seed.
    """
    rows, pooled = [], {}
    for (model, layer, subject, _), mine, cell in open_cells(cells, moments, voxels, "asymmetry"):
        n_blocks, found = _side_scores(cell, mine, settings)
        for region, (scores, n_voxels) in found.items():
            rows += _rows((model, layer, subject, region), scores, n_voxels, n_blocks, settings)
            pooled.setdefault((model, layer, region), []).append((scores, n_voxels, n_blocks))
    for (model, layer, region), parts in pooled.items():
        if len(parts) > 1:
            scores, n_voxels, n_blocks = zip(*parts, strict=True)
            named = model, layer, POOLED, region
            rows += _rows(named, np.mean(scores, 0), np.sum(n_voxels, 0), min(n_blocks), settings)
    tables.write("asymmetry", rows, output, collect(settings=dict(settings)))


def _side_scores(
    cell: MomentsFile, subject: VoxelSets, settings: Mapping[str, Any]
) -> tuple[int, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Number of blocks; region -> scores (2 sides, 1 + draws, metrics) and voxels (2,) of left and right."""
    cut = skipped_trs(settings)
    n_blocks = int(cell.blocks.kept(cut).sum())
    regions = subject.choose(("rois",), "config")
    sets = {name.removeprefix("roi:"): inside for name, inside in regions.items() if inside.any()}
    pairs, names = homologues(sets), list(sets)
    counts = block_counts(n_blocks, settings["draws"], settings["seed"], cell.blocks.inflation)
    scores = cell_scores(cell, cut, counts, sets).mean(0)  # (1 + draws, sets, metrics)
    return n_blocks, {
        region: (
            np.stack([scores[:, names.index(side)] for side in both]),
            np.array([sets[side].sum() for side in both]),
        )
        for region, both in pairs.items()
    }


def _rows(
    named: tuple[str, int, str, str],
    scores: np.ndarray,
    n_voxels: np.ndarray,
    n_blocks: int,
    settings: Mapping[str, Any],
) -> list[dict[str, Any]]:
    difference = scores[0] - scores[1]  # (1 + draws, metrics)
    lo, hi = interval(difference[0], difference[1:], settings["interval"], n_blocks)
    names = dict(zip(("model", "layer", "subject", "region"), named, strict=True))
    return [
        {
            **names,
            "metric": metric,
            "left": scores[0, 0, m],
            "right": scores[1, 0, m],
            "difference": difference[0, m],
            "lo": lo[m],
            "hi": hi[m],
            "n_left": n_voxels[0],
            "n_right": n_voxels[1],
        }
        for m, metric in enumerate(METRICS)
    ]
