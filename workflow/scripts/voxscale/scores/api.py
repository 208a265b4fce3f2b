"""The noise ceiling of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxscale.scores.ceiling import ceiling_columns


@dataclass(frozen=True)
class NoiseCeiling:
    """Noise ceiling of each voxel; all arrays are (voxels,), NaN for a constant voxel or one with NaN.

    Attributes:
        n_repeats: number of repeats.
        signal_power, signal_power_lo, signal_power_hi: variance that the repeats share, with its interval;
            it can come out below 0.
        noise_power: variance of a single repeat that they do not share.
        explainable: share of signal in the variance of a single repeat.
        ccmax, ccmax_lo, ccmax_hi: correlation of a perfect model with the mean of the repeats, with its
            interval; NaN where the signal power is not above 0.
        reliable: whether the interval of the signal power is above 0. Intervals need three repeats.
    """

    n_repeats: int
    signal_power: np.ndarray
    signal_power_lo: np.ndarray
    signal_power_hi: np.ndarray
    noise_power: np.ndarray
    explainable: np.ndarray
    ccmax: np.ndarray
    ccmax_lo: np.ndarray
    ccmax_hi: np.ndarray
    reliable: np.ndarray


def noise_ceiling(repeats: np.ndarray | Sequence[np.ndarray], level: float = 0.9) -> NoiseCeiling:
    """Estimate the noise ceiling of each voxel from responses to a stimulus that was repeated.

    Args:
        repeats: (repeats, TRs, voxels), or a list of such arrays, one for each story, with the same number of
            repeats and voxels. The mean of each repeat is taken out.
        level: coverage of the intervals.

    Raises:
        ValueError: another shape, or fewer than two repeats.

    >>> random = np.random.default_rng(0)
    >>> signal = random.standard_normal((400, 3)) * [0.0, 1.0, 2.0]
    >>> found = noise_ceiling(signal + random.standard_normal((10, 400, 3)))
    >>> found.reliable.tolist(), found.ccmax[1:].round(2).tolist()
    ([False, True, True], [0.95, 0.99])
    """
    stories = [np.asarray(story) for story in ([repeats] if isinstance(repeats, np.ndarray) else repeats)]
    shapes = {(story.ndim, story.shape[0], story.shape[-1]) for story in stories}
    if len(shapes) != 1 or stories[0].ndim != 3:
        raise ValueError(
            f"repeats have shapes {[story.shape for story in stories]}; give (repeats, TRs, voxels), "
            "with the same repeats and voxels in each story"
        )
    if len(stories[0]) < 2:
        raise ValueError("there is one repeat; a noise ceiling needs two or more")
    found = ceiling_columns([np.swapaxes(story, 1, 2) for story in stories], level)
    names = [name for name in NoiseCeiling.__annotations__ if name != "n_repeats"]
    return NoiseCeiling(len(stories[0]), **{name: found[name] for name in names})
