"""Sliding windows over a sound, and the memory they take in an encoder.

Each window ends at its feature's time, so that no feature hears the future. The memory is estimated in one
place for what jobs ask for and for how many windows they pass together.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxscale.features.sound import RATE

MINIMUM = 400  # samples: one frame of the encoders (25 ms)
LARGEST_BATCH = 32  # windows that pass together
CPU_BATCH_BYTES = 3e7  # a CPU's batch takes no more, unless one window does: larger ones leave the caches


@dataclass(frozen=True)
class SoundWindows:
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

        Padding them to one length would change what a group norm or an unmasked convolution sees.
        """
        length = self.stop - self.start
        cuts = np.flatnonzero(np.diff(length)) + 1 if not any_length else []
        for same in np.split(np.arange(len(self)), cuts):
            for first in range(0, len(same), size):
                yield same[first : first + size]


def slide_windows(n_samples: int, window_s: float, stride_s: float, minimum: int = MINIMUM) -> SoundWindows:
    """Windows of `window_s`, one every `stride_s`; the early ones begin with the sound and are shorter.

    Args:
        n_samples: length of the sound at 16 kHz.
        minimum: fewest samples of a window; an end before that has no feature.

    Raises:
        ValueError: the sound is shorter than the shortest window, or the window or the stride is too short.
    """
    length = round(window_s * RATE)
    if length < minimum:
        raise ValueError(f"window_s of {window_s} s is under {minimum} samples; raise it")
    if stride_s * RATE < 1:
        raise ValueError(f"stride_s of {stride_s} s is under one sample; raise it")
    count = int(n_samples / (stride_s * RATE) + 1e-9)
    stop = np.round(np.arange(1, count + 1) * stride_s * RATE).astype(np.int64)
    stop = stop[(stop >= minimum) & (stop <= n_samples)]
    if not len(stop):
        raise ValueError(
            f"a sound of {n_samples} samples has no window of {minimum} samples; leave the story out"
        )
    return SoundWindows(np.maximum(stop - length, 0), stop)


def window_bytes(config: Mapping[str, Any], width: int, n_layers: int, window_s: float, item: int) -> float:
    """Bytes that one window takes in an encoder, weights aside.

    ASSUME: of a front end's first convolution, the largest tensor, five live at a time (2.6 were measured
    with HuBERT's group norm, 4.9 with its layer norms, which transpose); and of a frame 32 times the width
    (queries, keys, values, two widths of the MLP, spectrogram, and room to spare) and each layer's state.

    Args:
        config: of the encoder, or from the model's entry; the rest are the defaults of `transformers`.
        item: bytes of a number.
    """
    if "decoder_layers" in config:  # Whisper and similar models: a spectrogram, padded to their chunk
        first, frames = 0.0, config.get("max_source_positions", 1500)
    else:
        channels, strides = config.get("conv_dim", [512]), config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
        samples = window_s * RATE
        first, frames = channels[0] * samples / strides[0], samples / math.prod(strides)
    return item * (5 * first + frames * width * (32 + n_layers + 1))


def windows_per_batch(each: float, budget: float = CPU_BATCH_BYTES) -> int:
    """Windows of so many bytes each that may pass together within a budget."""
    return int(min(LARGEST_BATCH, max(1, budget / each)))
