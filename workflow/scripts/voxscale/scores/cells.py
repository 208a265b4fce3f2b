"""Scores of whole cells in every resampled test set."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.encoding import MomentsFile
from voxscale.errors import UserError
from voxscale.progress import bar
from voxscale.scores.voxel_sets import VoxelSets, read_sets
from voxscale.statistics import mean_scores


def cell_scores(
    moments: MomentsFile,
    cut_trs: float,
    counts: np.ndarray,
    sets: Mapping[str, np.ndarray],
    n_draws: int | None = None,
) -> np.ndarray:
    """`mean_scores` of a cell's first `n_draws` draws, or of all: (draws, resamples, sets, metrics)."""
    kept = moments.blocks.kept(cut_trs)
    blocks = moments.blocks.take(kept)
    draws = range(moments.n_draws)[:n_draws]
    return np.array([mean_scores(moments.read(draw, kept), blocks, counts, sets) for draw in draws])


def check_same_test(cells: Sequence[MomentsFile]) -> None:
    """Check that all cells of a subject were tested on the same TRs, as a comparison of scores needs.

    Raises:
        UserError: two cells were tested on different TRs.
    """
    for cell in cells[1:]:
        if not cell.blocks.same(cells[0].blocks):
            raise UserError(
                f"{cell.path}: was tested on other TRs than {cells[0].path}, so the two cannot be compared; "
                "fit both with one config"
            )


def open_cells(
    cells: Sequence[Sequence[Any]], moments: Sequence[str | Path], voxels: str | Path, what: str
) -> Iterator[tuple[Sequence[Any], VoxelSets, MomentsFile]]:
    """Each cell with the voxel sets of its subject and its moments, under a bar.

    Args:
        cells: (model, layer, subject, n_train) of each file of moments.
        voxels: table `voxels` of their subjects.
        what: name of the bar.
    """
    known = read_sets(voxels)
    for cell, path in zip(cells, bar(moments, what, unit="cell"), strict=True):
        mine = known[cell[2]]
        yield cell, mine, MomentsFile(path, mine.voxels, voxels)
