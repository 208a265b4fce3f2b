"""Z-scoring and trimming, the same for features and responses."""

from __future__ import annotations

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
