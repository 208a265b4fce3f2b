"""Control features, which every model's score is compared with. They come from no network and have one layer.

Nested models, whose true scores are known, are made here too; they may have several layers, each with its
noise.

The controls, on the TR clock (T rows):
    word_rate, phoneme_rate     words or phones per second, (T, 1)
    mel                         level of each mel band in dB, (T, bands)
    time_since_onset            seconds since the sound began, and exponentials decaying from then, (T, 4)
    autocorrelation             smooth random series that do not depend on the story, (T, 64)
    nested                      leading dimensions of the latent that drives the phantom, (T, dims), and noise
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxscale.errors import UserError
from voxscale.features.extraction import Made, update_features
from voxscale.features.sound import RATE, read_sound
from voxscale.features.store import content_key, feature_path
from voxscale.io import read_json, require, sha256_file, tables
from voxscale.progress import bar
from voxscale.versions import numbers

_FRAME, _HOP = 400, 160  # samples of the mel control's frames: 25 ms, every 10 ms
_FLOOR = 1e-8  # power, relative to a full-scale sine: silence is -80 dB, not minus infinity
_FADING_S = (10.0, 30.0, 100.0)  # time constants of effects that decay after a story's start
_SMOOTH_S = (2.0, 64.0)  # shortest and longest time constant of the random series
_N_SMOOTH = 64


class ControlSources(NamedTuple):
    """Where one story's controls come from; None where the dataset has no such file."""

    clock: str | Path
    words: str | Path | None = None
    phones: str | Path | None = None
    audio: str | Path | None = None
    latents: str | Path | None = None


class TrTimes(NamedTuple):
    """The stimulus clock: (T,) s, start, middle and end of each TR after the start of the sound."""

    start: np.ndarray
    middle: np.ndarray
    end: np.ndarray


def read_tr_times(path: str | Path) -> TrTimes:
    """Read a story's table `clock`."""
    table = tables.read("clock", path, ["onset_s", "mid_s"])
    start, middle = table["onset_s"].to_numpy(), table["mid_s"].to_numpy()
    return TrTimes(start, middle, 2 * middle - start)


def event_rate(times: np.ndarray, trs: TrTimes) -> np.ndarray:
    """Events per second in each TR.

    Args:
        times: (n,) s.

    Returns:
        (T, 1) float32.
    """
    times = np.sort(times)
    counts = np.searchsorted(times, trs.end) - np.searchsorted(times, trs.start)
    return (counts / (trs.end - trs.start)).astype(np.float32)[:, None]


def mel_levels(samples: np.ndarray, trs: TrTimes, bands: int) -> np.ndarray:
    """Level of each mel band in each TR: the mean over its frames of the band's dB.

    ASSUME: levels are averaged in dB, close to loudness, not as power, where one loud moment would dominate.
    A TR with no sound has the level of silence.

    Args:
        samples: (samples,) float32 at 16 kHz, full scale 1.

    Returns:
        (T, bands) float32.
    """
    from scipy.fft import rfft
    from transformers.audio_utils import mel_filter_bank

    window = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
    window *= 2 / window.sum()  # a full-scale sine has power 1 at its frequency
    filters = mel_filter_bank(_FRAME // 2 + 1, bands, 0.0, RATE / 2, RATE)  # (frequencies, bands)
    # Frame i is centred on sample i * _HOP.
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, _FRAME // 2), _FRAME)[::_HOP]
    power = np.abs(rfft(frames * window, axis=1)) ** 2 @ filters  # (frames, bands)
    level = 10 * np.log10(power + _FLOOR)
    middle = np.arange(len(level)) * _HOP / RATE
    total = np.concatenate([np.zeros((1, bands)), np.cumsum(level, axis=0)])
    a, b = np.searchsorted(middle, trs.start), np.searchsorted(middle, trs.end)
    mean = (total[b] - total[a]) / np.maximum(b - a, 1)[:, None]
    return np.where((b > a)[:, None], mean, 10 * np.log10(_FLOOR)).astype(np.float32)


def time_since_onset(trs: TrTimes) -> np.ndarray:
    """Seconds since the sound began, and exponentials that fade from then on; 0 before it.

    Returns:
        (T, 1 + len(_FADING_S)) float32.
    """
    t = trs.middle[:, None]
    columns = [t, *(np.exp(-np.maximum(t, 0) / tau) for tau in _FADING_S)]
    return np.where(t >= 0, np.concatenate(columns, 1), 0).astype(np.float32)


def autocorrelation(story: str, trs: TrTimes, seed: int) -> np.ndarray:
    """Random series as smooth as features and responses, independent of the story's content.

    Stationary AR(1) series of unit variance, with time constants log-spaced over `_SMOOTH_S`. Their
    score is what smoothness alone can reach.

    Returns:
        (T, _N_SMOOTH) float32.
    """
    digest = hashlib.sha256(f"{seed}/{story}".encode()).digest()
    series = np.random.default_rng(list(digest)).standard_normal((len(trs.start), _N_SMOOTH))
    memory = np.exp(-(trs.end[0] - trs.start[0]) / np.geomspace(*_SMOOTH_S, _N_SMOOTH))
    series[1:] *= np.sqrt(1 - memory**2)
    for t in range(1, len(series)):
        series[t] += memory * series[t - 1]
    return series.astype(np.float32)


def read_latent(path: str | Path, trs: TrTimes, dims: int) -> np.ndarray:
    """Leading `dims` dimensions of a story's latent.

    Returns:
        (T, dims) float32.

    Raises:
        UserError: the file is not an array, has too few dimensions, or another number of TRs.
    """
    path = require(path, "latent")
    try:
        latent = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path}: is not a NumPy array ({error}); delete it and run again") from None
    if latent.ndim != 2 or len(latent) != len(trs.start):
        raise UserError(f"{path}: has shape {latent.shape} for {len(trs.start)} clock TRs; write it again")
    if dims > latent.shape[1]:
        raise UserError(f"{path}: has {latent.shape[1]} dimensions, not {dims}; lower the model's dims")
    return latent[:, :dims].astype(np.float32)


def add_noise(values: np.ndarray, deviations: Sequence[float], story: str) -> dict[int, np.ndarray]:
    """The same values in each layer, with white noise of its own: layer -> (T, dims) float32."""
    digest = hashlib.sha256(f"noise/{story}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    drawn = (rng.standard_normal(values.shape).astype(np.float32) for _ in deviations)
    return {
        i: values + deviation * noise
        for i, (deviation, noise) in enumerate(zip(deviations, drawn, strict=True))
    }


def shifted_word_rate(words: str | Path, clock: str | Path, shifts: np.ndarray) -> np.ndarray:
    """The control `word_rate` of a story whose words all come some seconds later: (shifts, T) float32.

    Args:
        words, clock: its tables of these names.
        shifts: s.
    """
    trs, times = read_tr_times(clock), _event_times("words", words)
    return np.stack([event_rate(times + shift, trs)[:, 0] for shift in shifts])


def _event_times(name: str, path: str | Path) -> np.ndarray:
    table = tables.read(name, path, ["onset_s", "offset_s"])
    return (table["onset_s"].to_numpy() + table["offset_s"].to_numpy()) / 2


class _Control(NamedTuple):
    """Which of `ControlSources` a control reads, and the function of that file, the TRs and its setting."""

    source: str | None
    make: Callable[[Any, TrTimes, Any], np.ndarray]


_CONTROLS: dict[str, _Control] = {
    "word_rate": _Control("words", lambda path, trs, _: event_rate(_event_times("words", path), trs)),
    "phoneme_rate": _Control("phones", lambda path, trs, _: event_rate(_event_times("phones", path), trs)),
    "mel": _Control("audio", lambda path, trs, bands: mel_levels(read_sound(path), trs, bands)),
    "time_since_onset": _Control(None, lambda _, trs, __: time_since_onset(trs)),
    "autocorrelation": _Control(None, lambda _, trs, seeded: autocorrelation(seeded[1], trs, seeded[0])),
    "nested": _Control("latents", read_latent),
}


def extract_controls(
    card_path: str | Path,
    stories: Mapping[str, ControlSources],
    index: str | Path,
    store: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Make one control's (or nested model's) features of all stories; those that exist are kept.

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
    if kind not in _CONTROLS:
        known = ", ".join(name for name in _CONTROLS if name != "nested")
        raise UserError(f"config key models.{card['model']}: no control {kind}; known are {known}")
    control, deviations = _CONTROLS[kind], card.get("noise") or [0.0]
    inputs, files = {}, {}
    for story, sources in stories.items():
        trs = read_tr_times(sources.clock)
        path = getattr(sources, control.source) if control.source else None
        if control.source and path is None:
            raise UserError(
                f"{card['model']}: {story} has no {control.source}; take the model out of the sweeps"
            )
        # What the numbers depend on besides the source and the clock.
        settings_of = {"mel": settings["mel_bands"], "autocorrelation": [settings["seed"], story]}
        inputs[story] = path, trs, (settings_of | {"nested": card.get("dims")}).get(kind)
        key = content_key(
            numbers=numbers("controls"),
            control=kind,
            setting=inputs[story][-1],
            noise=deviations,
            source=sha256_file(require(path, control.source or "")) if path is not None else None,
            clock=[trs.start.tolist(), trs.end.tolist()],
            on_disk=settings["on_disk"],
        )
        files[story] = feature_path(store, card["model"], story, key)

    def make(missing: list[str], _: list[int]) -> Iterator[Made]:
        for story in bar(missing, card["model"], unit="story"):
            yield story, add_noise(control.make(*inputs[story]), deviations, story), {"model": card["model"]}

    update_features(index, files, range(len(deviations)), make, settings["on_disk"])
