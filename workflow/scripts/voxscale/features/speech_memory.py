"""Memory of windows of sound in a speech encoder: one rule for what jobs ask for and for what they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from voxscale.features.sound import RATE

LARGEST_BATCH = 64  # windows passed together
CPU_BATCH_BYTES = 5e8  # a CPU's batch takes no more, unless one window does: larger ones leave the caches


def window_bytes(config: Mapping[str, Any], width: int, n_layers: int, window_s: float, item: int) -> float:
    """Bytes that one window takes in an encoder, weights aside.

    ASSUME: of a front end's first convolution, the largest tensor, five live at a time (2.6 were measured
    with HuBERT's group norm, 4.9 with its layer norms, which transpose); and of a frame 32 times the width
    (queries, keys, values, two widths of the MLP, spectrogram, and room to spare) and each layer's state.

    Args:
        config: of the encoder, or what config/models.yaml says of it: `transformers`' defaults for the rest.
        item: bytes of a number.
    """
    if "decoder_layers" in config:  # Whisper and its kin: a spectrogram, padded to their chunk
        first, frames = 0.0, config.get("max_source_positions", 1500)
    else:
        channels, strides = config.get("conv_dim", [512]), config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
        samples = window_s * RATE
        first, frames = channels[0] * samples / strides[0], samples / math.prod(strides)
    return item * (5 * first + frames * width * (32 + n_layers + 1))


def most_windows(each: float, budget: float = CPU_BATCH_BYTES) -> int:
    """Windows of so many bytes each that may pass together within a budget."""
    return int(min(LARGEST_BATCH, max(1, budget // each)))
