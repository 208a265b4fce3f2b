"""From irregular times (words, frames) to the TR clock by Lanczos resampling."""

from __future__ import annotations

import numpy as np

from voxscale.errors import UserError


def weights(
    times: np.ndarray, targets: np.ndarray, lobes: int = 3, cutoff_hz: float | None = None
) -> np.ndarray:
    """Weight of each sample in each target: sinc(c t) sinc(c t / lobes) for |c t| < lobes, else 0.

    Args:
        times: (n,) s, when the values were taken, in any order.
        targets: (m,) s, evenly spaced times that are wanted.
        lobes: lobes of the kernel on each side.
        cutoff_hz: the kernel's cutoff c; default one over the mean spacing of the targets (the TR rate).

    Returns:
        (m, n) float64.

    Raises:
        UserError: fewer than two targets and no cutoff, or a time that is not finite.
    """
    times, targets = np.asarray(times, np.float64), np.asarray(targets, np.float64)
    if not (np.isfinite(times).all() and np.isfinite(targets).all()):
        raise UserError("resampling: a time is not finite; check the story's words and clock")
    if cutoff_hz is None:
        if len(targets) < 2:
            raise UserError("resampling: the TR clock has fewer than two rows; check the story's clock")
        cutoff_hz = 1 / float(np.mean(np.diff(targets)))
    t = cutoff_hz * (targets[:, None] - times[None, :])  # (m, n)
    # ASSUME: weights are not normalised, as in the field: a TR with more words gets larger values, so the
    # features carry the word rate (Huth et al. 2016, doi 10.1038/nature17637, methods).
    return np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0)


def interpolate(
    values: np.ndarray,
    times: np.ndarray,
    targets: np.ndarray,
    lobes: int = 3,
    cutoff_hz: float | None = None,
) -> np.ndarray:
    """Resample `values` (n, d), taken at `times` (n,) s, at `targets` (m,) s.

    Returns:
        (m, d) in the values' own floating type.

    Raises:
        UserError: as `weights`, or values and times of different length.
    """
    if len(values) != len(times):
        raise UserError(f"resampling: {len(values)} values for {len(times)} times; check the story's words")
    return weights(times, targets, lobes, cutoff_hz).astype(values.dtype) @ values
