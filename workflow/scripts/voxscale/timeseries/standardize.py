"""Z-scoring and trimming, the same for features and responses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


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
    # A constant float32 series has a deviation of rounding size, not of exactly 0.
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    scaled = (x - mean) / np.where(constant, 1.0, deviation)
    return np.where(constant, np.where(np.isnan(x), x, 0.0), scaled).astype(x.dtype, copy=False)


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
