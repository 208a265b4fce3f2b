"""Features of arrays: the words or the sound of one story through one model, resampled to TR times."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from voxscale.features.language_model import LanguageModel, StoryWords
from voxscale.features.sound import RATE, resample
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.features.speech_windows import slide_windows
from voxscale.models import MODELS, depth, fetch_snapshot, load_registry, open_config


@dataclass(frozen=True)
class StoryFeatures:
    """Features of one story.

    Attributes:
        layers: layer -> (TRs, width) float32; layer 0 is what enters the first block.
        bits_per_character: mean surprisal of the text; None for speech.
    """

    layers: dict[int, np.ndarray]
    bits_per_character: float | None = None


def _card(model: str | Path, modality: str) -> dict[str, Any]:
    """What an extraction needs to know of a folder in the hub's format, or of one of the library's models."""
    known = load_registry(yaml.safe_load(MODELS.read_text()))
    if Path(model).is_dir():
        folder = Path(model)
    elif str(model) in known and known[str(model)].hub:
        folder = fetch_snapshot(known[str(model)])
    else:
        raise ValueError(
            f"{model} is neither a folder with a model nor the name of a published one in {MODELS.name}; "
            "give one of these"
        )
    return {"model": str(model), "path": str(folder), "n_layers": depth(open_config(folder), modality)}


def _clock(tr_times: Any) -> np.ndarray:
    tr_times = np.asarray(tr_times, float)
    if tr_times.ndim != 1 or len(tr_times) < 2 or not (np.diff(tr_times) > 0).all():
        raise ValueError("tr_times must be two or more ascending times in s; give the middle of each TR")
    return tr_times


def text_features(
    model: str | Path,
    words: Sequence[str],
    times: Sequence[float] | np.ndarray,
    tr_times: Sequence[float] | np.ndarray,
    layers: Sequence[int] | None = None,
    max_context: int = 512,
    restart_at: int = 256,
    device: str = "auto",
    dtype: str = "auto",
) -> StoryFeatures:
    """Hidden states of a causal language model at each word, resampled to TR times by a Lanczos filter.

    Args:
        model: folder in the hub's format (config, weights, tokenizer), or the name of one of the library's
            models, which is downloaded.
        words: n words in order, as transcribed.
        times: (n,) s, middle of each word.
        tr_times: (TRs,) s, middle of each TR, on the same clock.
        layers: layers to keep; None: all.
        max_context, restart_at: words of the longest context, and of the one that remains when it restarts.
        device, dtype: as in the config's `features`.

    Raises:
        ValueError: words and times differ in number, TR times do not ascend, or there is no such model.
        UserError: the model cannot be loaded or used.
    """
    times, tr_times = np.asarray(times, float), _clock(tr_times)
    if times.shape != (len(words),):
        raise ValueError(f"there are {len(words)} words and times of shape {times.shape}; give each word one")
    settings = {
        "unit": "words",
        "max_context": max_context,
        "restart_at": restart_at,
        "token_budget": "auto",
        "bits_per_character": True,
        "device": device,
        "dtype": dtype,
        "device_map": None,
    }
    story = StoryWords("story", list(words), times, tr_times)
    with tempfile.TemporaryDirectory() as offload:
        network = LanguageModel(_card(model, "language"), settings, layers, offload)
        ((found, numbers),) = network.features([story], [network.prepare(story)])
    return StoryFeatures(found, numbers.get("bits_per_character"))


def speech_features(
    model: str | Path,
    sound: np.ndarray,
    rate: int,
    tr_times: Sequence[float] | np.ndarray,
    layers: Sequence[int] | None = None,
    window_s: float = 16.1,
    stride_s: float = 0.1,
    device: str = "auto",
    dtype: str = "auto",
) -> StoryFeatures:
    """Last frame of a speech encoder in each sliding window, resampled to TR times by a Lanczos filter.

    Args:
        model: folder in the hub's format, or the name of one of the library's models, which is downloaded.
        sound: (samples,) or (samples, channels), full scale 1.
        rate: samples per second.
        tr_times: (TRs,) s from the start of the sound, middle of each TR.
        layers: layers to keep; None: all.
        window_s, stride_s: seconds of sound that a frame can depend on, and between frames.
        device, dtype: as in the config's `features`.

    Raises:
        ValueError: the sound is too short or not finite, TR times do not ascend, or there is no such model.
        UserError: the model cannot be loaded or used.
    """
    sound, tr_times = np.asarray(sound, np.float32), _clock(tr_times)
    if sound.ndim not in (1, 2) or not np.isfinite(sound).all():
        raise ValueError("the sound must be finite samples (samples,) or (samples, channels)")
    settings = {
        "window_s": window_s,
        "stride_s": stride_s,
        "device": device,
        "dtype": dtype,
        "device_map": None,
    }
    samples = resample(sound if sound.ndim == 1 else sound.mean(1), rate, RATE)
    with tempfile.TemporaryDirectory() as offload:
        encoder = SpeechEncoder(_card(model, "speech"), settings, layers, offload)
        windows = slide_windows(len(samples), window_s, stride_s, encoder.minimum)
        return StoryFeatures(encoder.features(samples, windows, tr_times, encoder.batch_size()))
