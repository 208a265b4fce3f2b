"""Scores of whole cells in every resampled test set."""

from collections.abc import Mapping, Sequence

import numpy as np

from voxscale.encoding import MomentsFile
from voxscale.errors import UserError
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
