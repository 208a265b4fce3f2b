"""The long-context artifact: how far the first seconds of a test story lift the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores.voxel_sets import choose_sets, read_sets
from voxscale.statistics import (
    METRICS,
    Moments,
    block_counts,
    effective_blocks,
    interval,
    resampled_r,
    run_length,
    skipped_trs,
)

LONGEST_CUT_S = 120
LEAST_BLOCKS = 5  # that tell two cuts apart: fewer do not tell how far blocks stray


def cut_scores(
    moments: Moments, cuts: Sequence[float], counts: np.ndarray, sets: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Scores at every cut: (cuts, resamples, sets, metrics), draws averaged.

    One resample draws from all blocks of the test stories; a cut then leaves out the early ones among them,
    so that a comparison of cuts is paired.

    Args:
        cuts: TRs left out at the start of each story; a block goes when any of its TRs does.
        counts: (resamples, blocks) over all blocks.
    """
    member = np.array(list(sets.values()), float)
    total = np.zeros((len(cuts), len(counts), len(member), len(METRICS)))
    for draw in range(moments.n_draws):
        every = np.ones(len(moments.blocks.n), bool)
        sums_r = np.zeros_like(total)
        known = np.zeros(total.shape[:3])
        for part, sums in moments.read(draw, every):
            for c, cut in enumerate(cuts):
                kept = counts * moments.blocks.kept(cut)
                for few, r in resampled_r(sums, moments.blocks.n, kept):
                    inside, valid = member[:, part][:, few].T, np.isfinite(r)
                    r = np.where(valid, r, 0.0)
                    known[c] += valid @ inside
                    sums_r[c, ..., 0] += r @ inside
                    sums_r[c, ..., 1] += (r * np.abs(r)) @ inside
        with np.errstate(invalid="ignore", divide="ignore"):
            total += sums_r / np.where(known > 0, known, np.nan)[..., None] / moments.n_draws
    return total


def write_artifact(
    cells: Sequence[Sequence[Any]],
    moments: Sequence[str | Path],
    voxels: str | Path,
    output: str | Path,
    settings: Mapping[str, Any],
    wanted: Sequence[str] = ("all", "reliable", "rois"),
) -> None:
    """Write table `artifact`: score against the cut from 0 to 120 s and at the study's own, by set of voxels.

    Args:
        cells: (model, layer, subject, n_train) whose moments follow.
        settings: skip_s, tr_s, block_trs, draws, interval, seed.
    """
    known = read_sets(voxels)
    tr_s = settings["tr_s"]
    rows: list[dict[str, Any]] = []
    for cell, path in bar(list(zip(cells, moments, strict=True)), "artifact", unit="cell"):
        opened = Moments(path)
        ids, sets, _ = known[cell[2]]
        if not np.array_equal(opened.voxels, ids):
            raise UserError(f"{path}: has other voxels than {voxels}; fit the cell again")
        skipped = skipped_trs(settings)
        # ASSUME: cuts are whole blocks, and each leaves at least three blocks to score.
        starts = np.unique(opened.blocks.start_tr)
        starts = starts[(starts * tr_s <= LONGEST_CUT_S) | (starts == skipped)]
        cuts = [int(cut) for cut in starts if opened.blocks.kept(cut).sum() >= 3]
        if not cuts:
            continue
        counts = block_counts(len(opened.blocks.n), settings["draws"], settings["seed"])
        sets = choose_sets(sets, list(wanted), "config", cell[2])
        scores = cut_scores(opened, cuts, counts, sets)
        own = int(np.argmin(np.abs(np.array(cuts) - skipped)))
        level, n_blocks = settings["interval"], len(counts[0])
        lo, hi = interval(scores[:, 0], np.swapaxes(scores[:, 1:], 0, 1), level, n_blocks)
        # One resample serves all cuts: what they share is not in the interval of their difference, which
        # rests on the few blocks that only one of the two cuts leaves.
        difference = scores - scores[own]
        kept = [opened.blocks.kept(cut) for cut in cuts]
        units = [effective_blocks(each, kept[own]) for each in kept]
        ends = [
            interval(d[0], d[1:], level, n, run_length(n_blocks))
            for d, n in zip(difference, units, strict=True)
        ]
        less, more = np.moveaxis(np.array(ends), 1, 0)
        few = np.array(units) < LEAST_BLOCKS
        less[few] = more[few] = np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            base = scores[own, 0]
            percent = 100 * difference[:, 0] / np.where(base > 0, base, np.nan)
        for c, cut in enumerate(cuts):
            for s, name in enumerate(sets):
                for m, metric in enumerate(METRICS):
                    rows.append(
                        {
                            "model": cell[0],
                            "layer": cell[1],
                            "subject": cell[2],
                            "voxel_set": name,
                            "metric": metric,
                            "cut_s": cut * tr_s,
                            "y": scores[c, 0, s, m],
                            "lo": lo[c, s, m],
                            "hi": hi[c, s, m],
                            "difference": difference[c, 0, s, m],
                            "difference_lo": less[c, s, m],
                            "difference_hi": more[c, s, m],
                            "percent": percent[c, s, m],
                        }
                    )
    tables.write("artifact", rows, output, collect(settings=dict(settings)))
