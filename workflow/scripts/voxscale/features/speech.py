"""Speech features: the last frame of an encoder in every sliding window, on the TR clock, story by story.

The windows follow Vaidya, Jain & Huth 2022 (arXiv 2205.14252): each ends at its feature's time, so the
feature is causal although the encoder attends in both directions.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxscale.errors import UserError
from voxscale.features import sound
from voxscale.features import store as feature_store
from voxscale.features.batch_size import BatchSize
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.features.speech_windows import Windows, sliding
from voxscale.io import read_json, sha256_file, tables
from voxscale.models import is_out_of_memory, offload_folder, resolve_device, resolve_dtype
from voxscale.versions import numbers


class Story(NamedTuple):
    """One story's sound and clock.

    Attributes:
        audio, digest: its sound file and the digest of its bytes.
        clock: (m,) s, middle of each TR of the stimulus clock.
    """

    name: str
    audio: Path
    digest: str
    clock: np.ndarray


def read_story(name: str, audio: str | Path, clock: str | Path) -> Story:
    """Look at one story's sound (its bytes, not yet its samples) and table `clock`.

    Raises:
        UserError: the sound is missing or a stub, or the table is not one.
    """
    path = sound.require(audio, "sound")
    mids = tables.read("clock", clock, ["mid_s"])["mid_s"].to_numpy()
    return Story(name, path, sha256_file(path), mids)


def story_key(story: Story, card: Mapping[str, Any], settings: Mapping[str, Any], dtype: str) -> str:
    """Key of a story's features: everything that its numbers depend on."""
    return feature_store.content_key(
        numbers=numbers("speech"),
        weights=card["weights_id"],
        window=[settings["window_s"], settings["stride_s"], settings.get("front_end", "window")],
        dtype=dtype,
        on_disk=settings["on_disk"],
        audio=story.digest,
        clock=story.clock.tolist(),
    )


def story_files(
    card: Mapping[str, Any], told: Sequence[Story], store: str | Path, settings: Mapping[str, Any]
) -> dict[str, Path]:
    """Where the features of each story are, or will be, with these settings.

    Args:
        card: content of the model card.
        store, settings: as for `extract`.
    """
    from transformers import AutoConfig

    device = resolve_device(settings["device"])
    kind = resolve_dtype(settings["dtype"], device, AutoConfig.from_pretrained(card["path"]))
    dtype = str(kind).removeprefix("torch.")
    return {
        s.name: feature_store.story_path(store, card["model"], s.name, story_key(s, card, settings, dtype))
        for s in told
    }


def extract_speech(
    card_path: str | Path,
    stories: Mapping[str, tuple[str | Path, str | Path]],
    index: str | Path,
    store: str | Path,
    settings: Mapping[str, Any],
    layers: Sequence[int] | None = None,
) -> None:
    """Extract one model's features of all stories; stories that are there already cost no pass.

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
    card = read_json(card_path)
    if layers is not None and (outside := sorted(set(layers) - set(range(card["n_layers"] + 1)))):
        raise UserError(f"{card['model']}: has no layer {outside[0]}; it has 0 to {card['n_layers']}")
    told = [read_story(name, *paths) for name, paths in stories.items()]
    files = story_files(card, told, store, settings)
    wanted = range(card["n_layers"] + 1) if layers is None else layers
    missing = [s for s in told if not feature_store.is_whole(files[s.name], wanted)]
    if missing:
        if layers is not None:  # never take a layer away from those who link to the file
            layers = sorted(set(layers).union(*(feature_store.held(files[s.name]) for s in missing)))
        with offload_folder(Path(store) / card["model"]) as offload:
            encoder = SpeechEncoder(card, settings, layers, offload)
            common = {"model": card["model"], "dtype": str(encoder.dtype).removeprefix("torch.")}
            _extract_missing(encoder, missing, files, settings["on_disk"], common)
    feature_store.write_index(index, files)


def _windows_of(encoder: SpeechEncoder, story: Story) -> tuple[np.ndarray, Windows]:
    samples = sound.read(story.audio)
    try:
        return samples, sliding(len(samples), encoder.window_s, encoder.stride_s, encoder.minimum)
    except UserError as error:
        raise UserError(f"{story.audio}: {error}") from None


def _extract_missing(
    encoder: SpeechEncoder,
    stories: Sequence[Story],
    files: Mapping[str, Path],
    on_disk: str,
    common: Mapping[str, Any],
) -> None:
    """Pass story after story; the next one is read while the model works.

    Each is saved before the next one starts: a killed job has lost at most the story it was in.
    """
    folder = files[stories[0].name].parent
    batch = BatchSize(folder, encoder.card, encoder, encoder.measure_batches, window_s=encoder.window_s)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(_windows_of, encoder, stories[0])
        for i, story in enumerate(stories):
            samples, windows = coming.result()
            if i + 1 < len(stories):
                coming = ahead.submit(_windows_of, encoder, stories[i + 1])
            what = f"{common['model']} {story.name} ({i + 1} of {len(stories)})"
            while True:
                try:
                    layers = encoder.features(samples, windows, story.clock, batch.value, what)
                    break
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                    if batch.value == 1:
                        raise UserError(
                            f"{common['model']}: out of memory with one window of {encoder.window_s:g} s; "
                            "lower features.speech.window_s, or set features.device_map: auto"
                        ) from None
                batch.halve()
                print(
                    f"{common['model']}: out of memory; going on with batches of {batch.value}",
                    file=sys.stderr,
                )
            attrs = {**common, "story": story.name, "n_windows": len(windows)}
            feature_store.write_story(files[story.name], layers, attrs, on_disk)
