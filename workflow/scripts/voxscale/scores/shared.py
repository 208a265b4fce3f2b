"""Noise ceiling of each voxel across subjects: how much of its response other subjects' responses share.

A subject's response is taken as a·c + e: c is what all subjects have in common, e is its own, of signal or
noise. The correlation of its response with the mean of the others is too low for a ceiling by the noise of
that mean, which shows in how little the others agree with each other. So (Spearman 1904; inter-subject
correlation with one subject left out, Nastase et al. 2019, doi:10.1093/scan/nsz037), with sums over all pairs
of two others j ≠ k,

    ccmax² = Σ cov(own, j) · cov(own, k) / (Σ cov(j, k) · own variance)

which is a² / (a² + var e), whatever the shares of the others and however they differ: each pair has the same
product of shares above and below, and no square, to which noise would add. It takes two others. What a
subject's response has of signal that no other shares is not in it: it is a lower bound of the ceiling that
repeats would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxscale.dataset import SubjectResponses
from voxscale.statistics import TimeBlocks, blocks_of, reach
from voxscale.timeseries import zscore

FEWEST_SUBJECTS = 3
_RELIABLE = 0.9  # coverage of the interval that decides, as for repeats


def read_shared(
    group: Sequence[SubjectResponses], part: slice, settings: Mapping[str, Any], skip: int
) -> tuple[np.ndarray, np.ndarray, TimeBlocks]:
    """Responses (subjects, v, TRs) to the shared stories, z-scored per story; variances (v,); the blocks."""
    stories = settings["ceiling_stories"]
    heard = [[one.read(story, part)[:, skip:] for story in stories] for one in group]
    lengths = [values.shape[1] for values in heard[0]]
    variance = np.array([values.var(1, dtype=np.float64) for values in heard[0]])
    z = np.stack([np.concatenate([zscore(values, 1) for values in one], 1) for one in heard])
    blocks = blocks_of(dict(zip(stories, lengths, strict=True)), settings["block_trs"])
    return z, np.average(variance, axis=0, weights=lengths), blocks


def shared_columns(
    z: np.ndarray, variance: np.ndarray, blocks: TimeBlocks, level: float = 0.9, floor: float | None = None
) -> dict[str, np.ndarray]:
    """Noise ceiling of some voxels of the first subject.

    Intervals are by the jackknife: each block of TRs is left out once.

    Args:
        z: (subjects, v, TRs), z-scored in each story; at least three subjects.
        variance: (v,) of the first subject's responses.
        blocks: of the TRs.
        level: of the intervals.
        floor: as for `voxscale.scores.ceiling.ceiling_columns`.

    Returns:
        columns of table `ceiling` without subject, voxel and drift; n_repeats is the number of subjects.
    """
    own, others = z[0].astype(np.float64), z[1:].astype(np.float64)
    edges = np.concatenate([[0], np.cumsum(blocks.n)[:-1]])
    products = (own * others, _mean_of_pairs(others), own**2)  # (others, v, TRs), then (v, TRs)
    by_block = [np.add.reduceat(values, edges, axis=-1) for values in products]
    agreement, ccmax = _estimates(*(values.sum(-1) for values in by_block))
    less = [values.sum(-1, keepdims=True) - values for values in by_block]  # (…, v, blocks) each
    k = len(blocks.n)
    error, error_ccmax = (
        np.sqrt((k - 1) * x.var(-1)) if k > 2 else np.full(len(own), np.nan) for x in _estimates(*less)
    )
    half = reach(level, k, 1) * error_ccmax
    ends = np.clip(ccmax - half, 0, 1), np.clip(ccmax + half, 0, 1)
    found = {
        "n_repeats": np.full(len(own), len(z)),
        "signal_power": ccmax**2 * variance,
        "signal_power_lo": ends[0] ** 2 * variance,
        "signal_power_hi": ends[1] ** 2 * variance,
        "noise_power": (1 - ccmax**2) * variance,
        "explainable": ccmax**2,
        "ccmax": np.minimum(ccmax, 1.0),
        "ccmax_lo": ends[0],
        "ccmax_hi": ends[1],
        "reliable": (agreement - reach(_RELIABLE, k, 1) * error > 0) & np.isfinite(ccmax),
    }
    if floor is not None:
        alive = np.isfinite(agreement)
        found["ccmax"] = np.where(alive, np.fmax(found["ccmax"], floor), np.nan)
        found["reliable"] = alive
    return found


def _mean_of_pairs(values: np.ndarray) -> np.ndarray:
    """Mean product of two different ones of `values`, along the first axis."""
    n = len(values)
    return (values.sum(0) ** 2 - (values**2).sum(0)) / (n * (n - 1))


def _estimates(
    with_each: np.ndarray, of_others: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean correlation with another subject, and CCmax; NaN where a response is flat or shares nothing.

    Args:
        with_each: (others, …) covariance with each other subject.
        of_others: (…) mean covariance of two others.
        own: (…) variance.
    """
    shared = _mean_of_pairs(with_each)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = np.where(own > 0, with_each.mean(0) / own, np.nan)
        known = (agreement > 0) & (of_others > 0) & (shared > 0)
        return agreement, np.where(known, np.sqrt(shared / (of_others * own)), np.nan)
