"""Intervals from bootstrap resamples of few blocks, as wide as Student's t asks for."""

from __future__ import annotations

import numpy as np
from scipy import special

_FEW_BLOCKS = 8
ACROSS = 0.09  # share of the variance of a mean that single blocks of ten TRs lose at their ends


def run_length(n_blocks: float) -> int:
    """Number of neighbouring blocks that are drawn together."""
    return 2 if n_blocks >= _FEW_BLOCKS else 1


def freedom(n_units: float, run: int | None = None) -> float:
    """Degrees of freedom of a variance from resampled blocks: a third less where runs of two are drawn."""
    return max((n_units / 1.5 if (run or run_length(n_units)) == 2 else n_units) - 1, 1)


def spread_lost(n_units: float, run: int | None = None) -> float:
    """Factor by which the true variance is larger than that of the resamples.

    Resamples vary around the mean of the same few blocks, have one block more where runs of two do not divide
    the number of blocks, and lose what signal and noise share across the ends of a run. For products of two
    series that each extend over a haemodynamic response, with autocorrelation ρ(k), that share is
    2 Σ k ρ²(k) / Σ ρ²(k) / (TRs of a run).

    ASSUME: blocks of about ten TRs of 2 s.
    """
    run = run or run_length(n_units)
    drawn = n_units + (run == 2 and n_units % 2 == 1)
    return drawn / max(n_units - run, 1) / (1 - ACROSS / run)


def reach(level: float, n_units: float, run: int | None = None) -> float:
    """Half width of an interval in standard deviations of the resamples."""
    width = special.stdtrit(freedom(n_units, run), 0.5 + level / 2)
    return float(width * np.sqrt(spread_lost(n_units, run)))


def outer_share(level: float, n_units: float, run: int | None = None) -> float:
    """Share of normally distributed resamples that lie beyond each end of an interval."""
    return float(special.ndtr(-reach(level, n_units, run)))


def interval(
    estimate: np.ndarray | float, resampled: np.ndarray, level: float, n_units: float, run: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Interval around an estimate from its bootstrap resamples.

    With few blocks a bootstrap's spread is too small by (n - run)/n, and it has a normal's tails where
    Student's are needed: the percentiles are taken further out, as far as a t interval would extend
    (Hesterberg 2015, doi:10.1080/00031305.2015.1089789). Resampling raises a score (r² even more): the
    percentiles are taken around the resamples' own median, so that this shift is not in the interval. Where
    no resample lies that far out, as with two or three blocks, the half width is `reach` times their standard
    deviation.

    Args:
        estimate: (...) from the real data.
        resampled: (resamples, ...); NaN are left out.
        level: e.g. 0.9.
        n_units: number of blocks that were resampled.
        run: number of blocks drawn together; default `run_length(n_units)`.

    Returns:
        lo, hi: (...) each; NaN where there is no resample, or only one block.
    """
    share = outer_share(level, n_units, run)
    resampled = np.asarray(resampled, np.float64)
    empty = ~np.isfinite(resampled).any(0) | (n_units <= 1)
    if empty.all():
        return np.full(empty.shape, np.nan)[()], np.full(empty.shape, np.nan)[()]
    filled = np.where(empty, 0.0, resampled)
    shift = estimate - np.nanmedian(filled, 0)
    if share * len(resampled) < 0.5:
        half = reach(level, n_units, run) * np.nanstd(filled, 0)
        lo, hi = estimate - half, estimate + half
    else:
        lo, hi = np.nanquantile(filled, [share, 1 - share], axis=0) + shift
    return np.where(empty, np.nan, lo)[()], np.where(empty, np.nan, hi)[()]


def effective_blocks(one: np.ndarray, other: np.ndarray) -> float:
    """Number of blocks that the difference of the means over two sets of blocks rests on.

    That is the number of blocks of equal weight that would give the same variance of the variance.

    Args:
        one, other: (blocks,) bool. For two equal sets, whose difference is 0, all blocks count.
    """
    weights = one / one.sum() - other / other.sum()
    if not weights.any():
        return len(weights)
    return float((weights**2).sum() ** 2 / (weights**4).sum())
