"""Control features: what any model's score must be seen beside. They come from no network, in one layer.

Nested models, whose truth is known, come from here too; they may have several layers, each with its noise.

What each control is made of, on the TR clock (T rows):
    word_rate, phoneme_rate     words or phones per second, (T, 1)
    mel                         level of each mel band in dB, (T, bands)
    time_since_onset            how long the story has lasted, as it is and as it fades from mind, (T, 4)
    autocorrelation             smooth random series that know nothing of the story, (T, 64)
    nested                      leading dimensions of the latent that drives the phantom, (T, dims), and noise
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxscale.errors import UserError
from voxscale.features import sound
from voxscale.features import store as feature_store
from voxscale.io import read_json, require, sha256_file, tables
from voxscale.progress import bar
from voxscale.versions import numbers

FRAME, HOP = 400, 160  # samples of the mel control's frames: 25 ms, every 10 ms
FLOOR = 1e-8  # power, relative to a full-scale sine: silence is -80 dB, not minus infinity
FADING_S = (10.0, 30.0, 100.0)  # time constants of what wears off after a story's start
SMOOTH_S = (2.0, 64.0)  # shortest and longest time constant of the random series
N_SMOOTH = 64


class Sources(NamedTuple):
    """Where one story's controls come from; None where the dataset has no such file."""

    clock: str | Path
    words: str | Path | None = None
    phones: str | Path | None = None
    audio: str | Path | None = None
    latents: str | Path | None = None


class Ticks(NamedTuple):
    """The stimulus clock: (T,) s, start, middle and end of each TR after the start of the sound."""

    start: np.ndarray
    middle: np.ndarray
    end: np.ndarray


def read_ticks(path: str | Path) -> Ticks:
    """Read a story's table `clock`."""
    table = tables.read("clock", path, ["onset_s", "mid_s"])
    start, middle = table["onset_s"].to_numpy(), table["mid_s"].to_numpy()
    return Ticks(start, middle, 2 * middle - start)


def rate(times: np.ndarray, ticks: Ticks) -> np.ndarray:
    """Events per second in each TR.

    Args:
        times: (n,) s.

    Returns:
        (T, 1) float32.
    """
    times = np.sort(times)
    counts = np.searchsorted(times, ticks.end) - np.searchsorted(times, ticks.start)
    return (counts / (ticks.end - ticks.start)).astype(np.float32)[:, None]


def mel(samples: np.ndarray, ticks: Ticks, bands: int) -> np.ndarray:
    """Level of each mel band in each TR: the mean over its frames of the band's dB.

    ASSUME: levels are averaged in dB, near to loudness, not as power, which one loud moment would rule. A TR
    with no sound has the level of silence.

    Args:
        samples: (samples,) float32 at 16 kHz, full scale 1.

    Returns:
        (T, bands) float32.
    """
    from scipy.fft import rfft
    from transformers.audio_utils import mel_filter_bank

    window = np.hanning(FRAME + 1)[:-1].astype(np.float32)
    window *= 2 / window.sum()  # a full-scale sine has power 1 at its frequency
    filters = mel_filter_bank(FRAME // 2 + 1, bands, 0.0, sound.RATE / 2, sound.RATE)  # (frequencies, bands)
    # Frame i is centred on sample i * HOP.
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, FRAME // 2), FRAME)[::HOP]
    power = np.abs(rfft(frames * window, axis=1)) ** 2 @ filters  # (frames, bands)
    level = 10 * np.log10(power + FLOOR)
    middle = np.arange(len(level)) * HOP / sound.RATE
    total = np.concatenate([np.zeros((1, bands)), np.cumsum(level, axis=0)])
    a, b = np.searchsorted(middle, ticks.start), np.searchsorted(middle, ticks.end)
    mean = (total[b] - total[a]) / np.maximum(b - a, 1)[:, None]
    return np.where((b > a)[:, None], mean, 10 * np.log10(FLOOR)).astype(np.float32)


def time_since_onset(ticks: Ticks) -> np.ndarray:
    """Seconds since the sound began, and exponentials that fade from then on; 0 before it.

    Returns:
        (T, 1 + len(FADING_S)) float32.
    """
    t = ticks.middle[:, None]
    columns = [t, *(np.exp(-np.maximum(t, 0) / tau) for tau in FADING_S)]
    return np.where(t >= 0, np.concatenate(columns, 1), 0).astype(np.float32)


def autocorrelation(story: str, ticks: Ticks, seed: int) -> np.ndarray:
    """Random series as smooth as features and responses are, the same whatever is told in the story.

    Stationary AR(1) series of unit variance, with time constants log-spaced over `SMOOTH_S`. What they score
    is what smoothness alone can score.

    Returns:
        (T, N_SMOOTH) float32.
    """
    digest = hashlib.sha256(f"{seed}/{story}".encode()).digest()
    series = np.random.default_rng(list(digest)).standard_normal((len(ticks.start), N_SMOOTH))
    memory = np.exp(-(ticks.end[0] - ticks.start[0]) / np.geomspace(*SMOOTH_S, N_SMOOTH))
    series[1:] *= np.sqrt(1 - memory**2)
    for t in range(1, len(series)):
        series[t] += memory * series[t - 1]
    return series.astype(np.float32)


def nested(path: str | Path, ticks: Ticks, dims: int) -> np.ndarray:
    """Leading `dims` dimensions of a story's latent.

    Returns:
        (T, dims) float32.

    Raises:
        UserError: no array, too few dimensions, or another clock.
    """
    path = require(path, "latent")
    try:
        latent = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: is not a NumPy array ({error}); delete it and run again") from None
    if latent.ndim != 2 or len(latent) != len(ticks.start):
        raise UserError(f"{path}: has shape {latent.shape} for {len(ticks.start)} clock TRs; write it again")
    if dims > latent.shape[1]:
        raise UserError(f"{path}: has {latent.shape[1]} dimensions, not {dims}; lower the model's dims")
    return latent[:, :dims].astype(np.float32)


def noisy(values: np.ndarray, deviations: Sequence[float], story: str) -> dict[int, np.ndarray]:
    """Layer by layer the same values with white noise of its own: layer -> (T, dims) float32."""
    digest = hashlib.sha256(f"noise/{story}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    drawn = (rng.standard_normal(values.shape).astype(np.float32) for _ in deviations)
    return {
        i: values + deviation * noise
        for i, (deviation, noise) in enumerate(zip(deviations, drawn, strict=True))
    }


def _event_times(name: str, path: str | Path) -> np.ndarray:
    table = tables.read(name, path, ["onset_s", "offset_s"])
    return (table["onset_s"].to_numpy() + table["offset_s"].to_numpy()) / 2


class _Control(NamedTuple):
    """What a control reads, what else its numbers depend on, and how it is made."""

    source: str | None
    depends: Callable[[Mapping[str, Any], Mapping[str, Any], str], Any]
    make: Callable[[Any, Ticks, Any], np.ndarray]


CONTROLS: dict[str, _Control] = {
    "word_rate": _Control("words", lambda *_: None, lambda path, t, _: rate(_event_times("words", path), t)),
    "phoneme_rate": _Control(
        "phones", lambda *_: None, lambda path, t, _: rate(_event_times("phones", path), t)
    ),
    "mel": _Control(
        "audio", lambda card, settings, _: settings["mel_bands"], lambda p, t, n: mel(sound.read(p), t, n)
    ),
    "time_since_onset": _Control(None, lambda *_: None, lambda _, t, __: time_since_onset(t)),
    "autocorrelation": _Control(
        None,
        lambda card, settings, story: [settings["seed"], story],
        lambda _, t, seeded: autocorrelation(seeded[1], t, seeded[0]),
    ),
    "nested": _Control("latents", lambda card, *_: card["dims"], nested),
}


def extract_controls(
    card_path: str | Path,
    stories: Mapping[str, Sources],
    index: str | Path,
    store: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Make one control's (or nested model's) features of all stories; stories that are there are left alone.

    Args:
        card_path: `results/models/<model>.json`.
        stories: story -> its files.
        index: `results/features/<model>.h5`, written last.
        store: folder of the story files, `results/features/stories`.
        settings: the config's `features.control`, with `on_disk` of `features`.

    Raises:
        UserError: no such control, or a file it needs is missing or not what it should be.
    """
    card = read_json(card_path)
    kind = "nested" if card["modality"] == "nested" else card["control"]
    if kind not in CONTROLS:
        known = ", ".join(name for name in CONTROLS if name != "nested")
        raise UserError(f"config/models.yaml {card['model']}: no control {kind}; known are {known}")
    control, deviations = CONTROLS[kind], card.get("noise") or [0.0]
    files = {}
    for story, sources in bar(stories.items(), card["model"], unit="story"):
        ticks = read_ticks(sources.clock)
        path = getattr(sources, control.source) if control.source else None
        if control.source and path is None:
            raise UserError(
                f"{card['model']}: {story} has no {control.source}; take the model out of the sweeps"
            )
        setting = control.depends(card, settings, story)
        key = feature_store.content_key(
            numbers=numbers("controls"),
            control=kind,
            setting=setting,
            noise=deviations,
            source=sha256_file(require(path, control.source or "")) if path is not None else None,
            clock=[ticks.start.tolist(), ticks.end.tolist()],
            on_disk=settings["on_disk"],
        )
        files[story] = feature_store.story_path(store, card["model"], story, key)
        if not feature_store.is_whole(files[story], range(len(deviations))):
            layers = noisy(control.make(path, ticks, setting), deviations, story)
            attrs = {"model": card["model"], "story": story}
            feature_store.write_story(files[story], layers, attrs, settings["on_disk"])
    feature_store.write_index(index, files)
