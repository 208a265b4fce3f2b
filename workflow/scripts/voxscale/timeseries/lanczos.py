"""From irregular times (words, frames) to the TR clock by Lanczos resampling."""

import numpy as np


def lanczos_weights(
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
        ValueError: fewer than two targets and no cutoff, or a time that is not finite.
    """
    times, targets = np.asarray(times, np.float64), np.asarray(targets, np.float64)
    if not (np.isfinite(times).all() and np.isfinite(targets).all()):
        raise ValueError("a time is not finite; correct the times of the samples and of the TRs")
    if cutoff_hz is None:
        if len(targets) < 2:
            raise ValueError("the TR clock has fewer than two rows; give at least two, or a cutoff")
        cutoff_hz = 1 / float(np.mean(np.diff(targets)))
    t = cutoff_hz * (targets[:, None] - times[None, :])  # (m, n)
    # ASSUME: weights are not normalised, as in the field: a TR with more words gets larger values, so the
    # features carry the word rate (Huth et al. 2016, doi 10.1038/nature17637, methods).
    return np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0)


def lanczos_resample(
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
        ValueError: as `lanczos_weights`, or values and times of different length.
    """
    if len(values) != len(times):
        raise ValueError(f"{len(values)} values for {len(times)} times; give one time for each value")
    return lanczos_weights(times, targets, lobes, cutoff_hz).astype(values.dtype) @ values
