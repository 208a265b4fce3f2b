"""Sounds as models want them: one channel, 16 kHz, float32."""

import math
import sys
from pathlib import Path

import numpy as np

from voxscale.errors import UserError
from voxscale.io import require, require_sound_size

RATE = 16_000  # Hz, what every speech model here was made for
_BLOCK = (
    1 << 16
)  # samples that are read, and mixed, at a time: a file's channels are never in memory together


def read_sound(path: str | Path, rate: int = RATE) -> np.ndarray:
    """Read a sound file (WAV, FLAC, OGG, ...), mix its channels and resample it.

    Returns:
        (samples,) float32 at `rate` Hz, full scale 1.

    Raises:
        UserError: the file is missing, not a sound file, empty, or has values that are not finite.
    """
    import soundfile

    path = require(path, "sound")
    try:
        with soundfile.SoundFile(path) as file:
            original, stated, read = file.samplerate, file.frames, 0
            require_sound_size(path, stated, original)
            mono = np.empty(stated, np.float32)
            for block in file.blocks(_BLOCK, dtype="float32", always_2d=True):  # (samples, channels)
                mono[read : read + len(block)] = block.mean(axis=1)
                read += len(block)
            mono = mono[:read]
    except (soundfile.LibsndfileError, RuntimeError, ValueError, MemoryError) as error:
        detail = str(error).splitlines()[0].removeprefix(f"Error opening {str(path)!r}: ")
        raise UserError(f"{path}: is not a sound file ({detail}); fetch it again") from None
    if len(mono) < 0.999 * stated:
        raise UserError(
            f"{path}: was cut off: its header states {stated / original:.1f} s of sound, it holds "
            f"{len(mono) / original:.1f} s; get the whole file again"
        )
    if not len(mono):
        raise UserError(f"{path}: holds no sound; fetch it again")
    if not np.isfinite(mono).all():
        raise UserError(f"{path}: has samples that are not finite; export it again as 16-bit WAV")
    if not mono.any():
        print(f"WARNING {path}: is silent throughout; check whether it is whole", file=sys.stderr)
    return resample(mono, original, rate)


def resample(samples: np.ndarray, original: int, rate: int) -> np.ndarray:
    """Samples (n,) float32 at another rate (Hz)."""
    if original == rate:
        return samples
    from scipy.signal import resample_poly

    # ASSUME: the anti-aliasing filter looks about 10 samples ahead, under 1 ms; frames count as causal.
    common = math.gcd(original, rate)
    return resample_poly(samples, rate // common, original // common).astype(np.float32)
