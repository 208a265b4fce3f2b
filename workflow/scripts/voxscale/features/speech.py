"""Speech features: the last frame of an encoder in every sliding window, on the TR clock, story by story.

The windows follow Vaidya, Jain & Huth 2022 (arXiv 2205.14252): each ends at its feature's time, so the
feature is causal although the encoder attends in both directions.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxscale.errors import UserError, naming
from voxscale.features.batch_size import BatchSize
from voxscale.features.extraction import Made, network_files, update_features
from voxscale.features.sound import read_sound
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.features.speech_windows import SoundWindows, slide_windows
from voxscale.io import read_json, require, sha256_file, tables
from voxscale.models import offload_folder
from voxscale.overlap import prepare_ahead


class _StorySound(NamedTuple):
    """One story's sound file, the digest of its bytes, and (m,) s, the middle of each TR of its clock."""

    name: str
    audio: Path
    digest: str
    clock: np.ndarray


def _read(stories: Mapping[str, tuple[str | Path, str | Path]]) -> dict[str, _StorySound]:
    """The sound (its bytes, not yet its samples) and the table `clock` of each story."""
    found = {}
    for name, (audio, clock) in stories.items():
        path = require(audio, "sound")
        mids = tables.read("clock", clock, ["mid_s"])["mid_s"].to_numpy()
        found[name] = _StorySound(name, path, sha256_file(path), mids)
    return found


def _files(
    card: Mapping[str, Any],
    stories: Mapping[str, _StorySound],
    store: str | Path,
    settings: Mapping[str, Any],
) -> dict[str, Path]:
    window = [settings["window_s"], settings["stride_s"], settings.get("front_end", "window")]
    depends = {
        name: {"window": window, "audio": story.digest, "clock": story.clock.tolist()}
        for name, story in stories.items()
    }
    return network_files("speech", card, depends, store, settings)


def speech_files(
    card: Mapping[str, Any],
    stories: Mapping[str, tuple[str | Path, str | Path]],
    store: str | Path,
    settings: Mapping[str, Any],
) -> dict[str, Path]:
    """Where the speech features of each story are, or will be; arguments as for `extract_speech`."""
    return _files(card, _read(stories), store, settings)


def extract_speech(
    card_path: str | Path,
    stories: Mapping[str, tuple[str | Path, str | Path]],
    index: str | Path,
    store: str | Path,
    settings: Mapping[str, Any],
    layers: Sequence[int] | None = None,
) -> None:
    """Extract one model's features of all stories; those that exist need no pass.

    Args:
        card_path: `results/models/<model>.json`.
        stories: story -> (sound file, its table clock).
        index: `results/features/<model>.h5`, written last.
        store: folder of the story files, `results/features/stories`.
        settings: the config's `features.speech`, with `device`, `device_map` and `on_disk` of `features`.
        layers: layers to keep; None for all.

    Raises:
        UserError: a sound, a table or the model is not what it should be.
    """
    card, heard = read_json(card_path), _read(stories)
    every = range(card["n_layers"] + 1)
    if layers is not None and (outside := sorted(set(layers) - set(every))):
        raise UserError(f"{card['model']}: has no layer {outside[0]}; it has 0 to {card['n_layers']}")
    folder = Path(store) / card["model"]

    def make(missing: list[str], kept: list[int]) -> Iterator[Made]:
        with offload_folder(folder) as offload:
            encoder = SpeechEncoder(card, settings, kept, offload)
            common = {"model": card["model"], "dtype": str(encoder.dtype).removeprefix("torch.")}
            batch = BatchSize.kept(folder, card, encoder, encoder.batch_size, window_s=encoder.window_s)

            def cut(story: _StorySound) -> tuple[np.ndarray, SoundWindows]:
                samples = read_sound(story.audio)
                with naming(story.audio):
                    return samples, slide_windows(
                        len(samples), encoder.window_s, encoder.stride_s, encoder.minimum
                    )

            ready = prepare_ahead([heard[name] for name in missing], cut)
            for i, (story, (samples, windows)) in enumerate(ready, 1):
                what = f"{card['model']} {story.name} ({i} of {len(missing)})"
                values = batch.run(
                    lambda size: encoder.features(samples, windows, story.clock, size, what),  # noqa: B023
                    f"one window of {encoder.window_s:g} s; lower features.speech.window_s",
                )
                yield story.name, values, {**common, "n_windows": len(windows)}

    files = _files(card, heard, store, settings)
    update_features(index, files, every if layers is None else layers, make, settings["on_disk"])
