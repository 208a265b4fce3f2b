"""Scores in resampled test sets, from sums over blocks of test TRs (`voxscale.statistics.blocks`).

Blocks, not TRs, are resampled: neighbouring TRs share noise. Voxels are never resampled: they are not
independent. All cells see the same draws of blocks, so that differences between models keep their pairing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from scipy import special

from voxscale.statistics.blocks import TimeBlocks, correlations
from voxscale.statistics.intervals import reach, run_length

METRICS = ("r", "r2")  # mean correlation, mean signed r² = r·|r|


def block_counts(n_blocks: int, draws: int, seed: int | Sequence[int], inflation: int = 1) -> np.ndarray:
    """(1 + draws, blocks) float64: how often a block is in each resampled test set; row 0: the real one.

    Blocks are drawn in runs of two neighbours that may overlap (Künsch 1989, doi:10.1214/aos/1176347265):
    this keeps half of the noise that is shared across the border of two blocks. Few blocks are drawn singly.

    Args:
        inflation: of `TimeBlocks`. Of half as many blocks, each counted twice, a score varies twice as much.
            Where that is no whole number of runs, some resamples have one more: the mean variance is right.
    """
    rng = np.random.default_rng(seed)
    run = run_length(n_blocks)
    whole = -(-n_blocks // run)
    few = max(whole // inflation, 1)
    # A mean over m runs varies by 1/m: share/few + (1 - share)/(few + 1) = inflation/whole.
    share = few * (inflation * (few + 1) / whole - 1)
    runs = np.where(rng.spawn(1)[0].random(draws) < share, few, few + 1)
    starts = rng.multinomial(runs, np.full(n_blocks, 1 / n_blocks))
    counts = sum(np.roll(starts, i, axis=1) for i in range(run)) * (n_blocks / (runs * run))[:, None]
    return np.concatenate([np.ones((1, n_blocks)), counts])


def resampled_r(
    sums: np.ndarray, blocks: TimeBlocks, counts: np.ndarray, step: int = 256
) -> Iterator[tuple[slice, np.ndarray]]:
    """Pearson r in every resampled test set: (voxel slice, (resamples, v)), in steps that fit a cache.

    Args:
        sums: (blocks, 5, voxels); counts: (resamples, blocks).
    """
    for start in range(0, sums.shape[2], step):
        part = slice(start, min(start + step, sums.shape[2]))
        yield part, correlations(sums[:, :, part], blocks, counts)


def mean_scores(
    parts: Iterable[tuple[slice, np.ndarray]],
    blocks: TimeBlocks,
    counts: np.ndarray,
    sets: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Mean r and mean signed r² over sets of voxels, in every resampled test set.

    Args:
        parts: (voxel slice, (blocks, 5, v)) of some voxels at a time.
        counts: (resamples, blocks), see `block_counts`.
        sets: name -> (voxels,) bool.

    Returns:
        (resamples, sets, metrics) in the order of `sets` and `METRICS`; NaN for a set without a voxel.
    """
    member = np.array(list(sets.values()), np.float64)  # (sets, voxels)
    total = np.zeros((len(counts), len(member), len(METRICS)))
    known = np.zeros((len(counts), len(member)))
    for part, sums in parts:
        used = member[:, part].any(0)
        here = member[:, part][:, used].T  # (v, sets)
        for few, r in resampled_r(sums[..., used], blocks, counts):
            inside, valid = here[few], np.isfinite(r)
            r = np.where(valid, r, 0.0)  # left out of the mean through `known`
            total[..., 0] += r @ inside
            total[..., 1] += (r * np.abs(r)) @ inside
            known += valid @ inside
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / np.where(known > 0, known, np.nan)[..., None]


def jackknife_error(sums: np.ndarray, blocks: TimeBlocks) -> np.ndarray:
    """Standard error of r, each block left out once: (voxels,), NaN with fewer than three blocks.

    Args:
        sums: (blocks, 5, voxels).
    """
    n_blocks = len(blocks.n)
    if n_blocks < 3:
        return np.full(sums.shape[2], np.nan)
    r = correlations(sums, blocks, 1 - np.eye(n_blocks))
    return np.sqrt((n_blocks - 1) * r.var(0))


def draw_weights(n_draws: int, draws: int, seed: int, level: float, n_blocks: float) -> np.ndarray:
    """(1 + draws, n_draws) weights of the training draws in each resample; row 0 has equal weights.

    Draws are nested: the same draw index at each training size is one growing set of stories, so one resample
    of the weights serves all sizes. There are few draws, and drawing them with replacement has few outcomes
    and too little spread: the weights are continuous instead, with a spread such that, where `interval` ends,
    a mean lies as far out as Student's t for that number of draws. If only draws, or only blocks, vary, the
    interval is then the t interval.

    Args:
        level, n_blocks: of the interval that the resamples are for. In an interval that rests on fewer
            blocks, such as that of a mean over subjects with different test sets, draws count for more.
    """
    if n_draws == 1:
        return np.ones((1 + draws, 1))
    normal = np.random.default_rng((seed, n_draws)).normal(size=(draws, n_draws))
    wanted = special.stdtrit(n_draws - 1, 0.5 + level / 2) / reach(level, n_blocks)
    varied = (normal - normal.mean(1, keepdims=True)) * np.sqrt(n_draws / (n_draws - 1)) * wanted
    return (1 + np.concatenate([np.zeros((1, n_draws)), varied])) / n_draws
