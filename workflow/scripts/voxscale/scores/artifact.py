"""The long-context artifact: how much the first seconds of a test story raise the scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.encoding import MomentsFile
from voxscale.io import tables
from voxscale.provenance import collect
from voxscale.scores.cells import cell_scores, open_cells
from voxscale.statistics import METRICS, block_counts, effective_blocks, interval, run_length, skipped_trs

_LONGEST_CUT_S = 120
_LEAST_BLOCKS = 5  # in which two cuts differ: fewer do not show how much blocks vary
_SETS = ("all", "reliable", "rois")


def write_artifact(
    cells: Sequence[Sequence[Any]],
    moments: Sequence[str | Path],
    voxels: str | Path,
    output: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Write table `artifact`: score by the cut, from 0 to 120 s and at the study's own, by set of voxels.

    Args:
        cells: (model, layer, subject, n_train) of each file of moments.
        settings: skip_s, tr_s, block_trs, draws, interval, seed.
    """
    rows: list[dict[str, Any]] = []
    for (model, layer, subject, _), mine, cell in open_cells(cells, moments, voxels, "artifact"):
        found = _cut_rows(cell, mine.choose(_SETS, "config"), settings)
        rows += [{"model": model, "layer": layer, "subject": subject} | row for row in found]
    tables.write("artifact", rows, output, collect(settings=dict(settings)))


def _cut_rows(
    cell: MomentsFile, sets: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Scores of one cell at every cut, and their differences from those at the study's own cut."""
    blocks, skipped, level = cell.blocks, skipped_trs(settings), settings["interval"]
    # ASSUME: cuts are whole blocks, and each leaves at least three blocks to score.
    starts = np.unique(blocks.start_tr)
    starts = starts[(starts * settings["tr_s"] <= _LONGEST_CUT_S) | (starts == skipped)]
    cuts = [int(cut) for cut in starts if blocks.kept(cut).sum() >= 3]
    if not cuts:
        return []
    # A resample draws from all blocks of the test stories, and a cut leaves out the early ones among those
    # drawn: so cuts are compared within the same resamples.
    kept = [blocks.kept(cut) for cut in cuts]
    counts = block_counts(len(blocks.n), settings["draws"], settings["seed"], blocks.inflation)
    scores = np.stack([cell_scores(cell, 0, counts * each, sets).mean(0) for each in kept])
    # Without a score at the study's own cut, which may leave too few blocks, there is no difference from it.
    own = cuts.index(skipped) if skipped in cuts else None
    base = np.full_like(scores[0], np.nan) if own is None else scores[own]
    lo, hi = interval(scores[:, 0], np.swapaxes(scores[:, 1:], 0, 1), level, len(blocks.n))
    # What all cuts share is not in the interval of their difference, which rests on the few blocks that only
    # one of the two cuts leaves.
    difference = scores - base  # (cuts, resamples, sets, metrics)
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = 100 * difference[:, 0] / np.where(base[0] > 0, base[0], np.nan)
    rows: list[dict[str, Any]] = []
    for c, cut in enumerate(cuts):
        units = 0.0 if own is None else effective_blocks(kept[c], kept[own])
        less, more = interval(difference[c, 0], difference[c, 1:], level, units, run_length(len(blocks.n)))
        if units < _LEAST_BLOCKS:
            less = more = np.full_like(less, np.nan)
        rows += [
            {
                "voxel_set": name,
                "metric": metric,
                "cut_s": cut * settings["tr_s"],
                "y": scores[c, 0, s, m],
                "lo": lo[c, s, m],
                "hi": hi[c, s, m],
                "difference": difference[c, 0, s, m],
                "difference_lo": less[s, m],
                "difference_hi": more[s, m],
                "percent": percent[c, s, m],
            }
            for s, name in enumerate(sets)
            for m, metric in enumerate(METRICS)
        ]
    return rows
