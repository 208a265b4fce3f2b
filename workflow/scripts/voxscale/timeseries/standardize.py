"""Z-scoring and trimming, the same for features and responses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_AT_ONCE = 256  # series of a few hundred TRs each, under 1 MB in float64


def zscore(x: np.ndarray, axis: int = 0, reference: np.ndarray | None = None) -> np.ndarray:
    """Centre and scale along `axis` with the statistics of `reference` (default: `x` itself).

    A constant series becomes zeros, so that it carries no weight; NaN stays NaN.

    Args:
        x: any shape; float32 in, float32 out.
        reference: same shape as `x` but for `axis`.
    """
    source = x if reference is None else reference
    mean = source.mean(axis, keepdims=True, dtype=np.float64)
    return scale(x, mean, source.std(axis, keepdims=True, dtype=np.float64))


def scale(x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Centre and scale by statistics that are known; a series without deviation becomes 0, NaN stays NaN."""
    return _unit(x - mean, x, mean, deviation).astype(x.dtype, copy=False)


def _unit(centred: np.ndarray, x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Centred series divided by their deviation, in place; those without become 0."""
    # A constant float32 series has a deviation of rounding size, not of exactly 0.
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    if not constant.any():
        return np.divide(centred, deviation, out=centred)
    return np.where(constant, np.where(np.isnan(x), x, 0.0), centred / np.where(constant, 1.0, deviation))


@dataclass(frozen=True)
class PooledScale:
    """Mean and standard deviation of each series, pooled over several stories."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[np.ndarray], axis: int) -> Self:
        """From all TRs (along `axis`) of all parts."""
        n = sum(part.shape[axis] for part in parts)
        mean = sum(part.sum(axis, dtype=np.float64) for part in parts) / n
        square = sum(((part - np.expand_dims(mean, axis)) ** 2).sum(axis, dtype=np.float64) for part in parts)
        return cls(mean, np.sqrt(square / n))

    def apply(self, x: np.ndarray, axis: int) -> np.ndarray:
        """Centre and scale `x` along `axis`; a series without deviation becomes 0."""
        return scale(x, *(np.expand_dims(values, axis) for values in (self.mean, self.deviation)))


def join_scaled(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, PooledScale]:
    """Stories (v, TRs) one after the other, each z-scored by itself, and the scale of all together.

    Some series at a time, which stay in the cache of a CPU from the first mean to the last division.
    """
    v, lengths = len(parts[0]), np.array([part.shape[1] for part in parts])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    joined = np.empty((v, starts[-1]), parts[0].dtype)
    mean, deviation = np.empty((2, v, len(parts)))
    for first in range(0, v, _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        for i, part in enumerate(parts):
            values = part[some].astype(np.float64)
            mean[some, i] = values.mean(1)
            values -= mean[some, i, None]
            deviation[some, i] = np.sqrt(np.einsum("vt,vt->v", values, values) / lengths[i])
            joined[some, starts[i] : starts[i + 1]] = _unit(
                values, part[some], mean[some, i, None], deviation[some, i, None]
            )
    share = lengths / starts[-1]
    whole = mean @ share
    pooled = PooledScale(whole, np.sqrt((deviation**2 + (mean - whole[:, None]) ** 2) @ share))
    return joined, pooled
