"""Sliding windows over a sound: each ends at its feature's time, so that no feature hears the future."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxscale.errors import UserError
from voxscale.features.sound import RATE

MINIMUM = 400  # samples: one frame of the encoders (25 ms)


@dataclass(frozen=True)
class Windows:
    """Windows [start, stop) of one sound, in samples, in the order of their ends.

    Attributes:
        start, stop: (windows,) int64.
    """

    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return len(self.stop)

    @property
    def times(self) -> np.ndarray:
        """(windows,) s, end of each window: the time of its feature."""
        return self.stop / RATE

    def batches(self, size: int, any_length: bool = False) -> Iterator[np.ndarray]:
        """Indexes of windows to pass together: of one length each, unless the model pads them all anyway.

        Padding is no way round: it changes what a group norm or an unmasked convolution sees.
        """
        length = self.stop - self.start
        cuts = np.flatnonzero(np.diff(length)) + 1 if not any_length else []
        for same in np.split(np.arange(len(self)), cuts):
            for first in range(0, len(same), size):
                yield same[first : first + size]


def sliding(n_samples: int, window_s: float, stride_s: float, minimum: int = MINIMUM) -> Windows:
    """Windows of `window_s`, one every `stride_s`; the early ones begin with the sound and are shorter.

    Args:
        n_samples: length of the sound at 16 kHz.
        minimum: fewest samples of a window; an end before that has no feature.

    Raises:
        UserError: the sound is shorter than one window may be, or the lengths cannot be.
    """
    length = round(window_s * RATE)
    if length < minimum:
        raise UserError(
            f"config key features.speech.window_s: {window_s} s is under {minimum} samples; raise it"
        )
    if stride_s * RATE < 1:
        raise UserError(f"config key features.speech.stride_s: {stride_s} s is under one sample; raise it")
    count = int(n_samples / (stride_s * RATE) + 1e-9)
    stop = np.round(np.arange(1, count + 1) * stride_s * RATE).astype(np.int64)
    stop = stop[(stop >= minimum) & (stop <= n_samples)]
    if not len(stop):
        raise UserError(
            f"sound of {n_samples} samples: has no window of {minimum} samples; leave the story out"
        )
    return Windows(np.maximum(stop - length, 0), stop)
