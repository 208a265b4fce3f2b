"""Text features: hidden states of a causal LM at each word, on the TR clock, story by story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from voxscale.features import store as feature_store
from voxscale.features.text_model import Story, TextModel
from voxscale.io import read_json, tables
from voxscale.models import offload_folder, resolve_device, resolve_dtype
from voxscale.progress import bar
from voxscale.versions import numbers


def read_story(name: str, words: str | Path, clock: str | Path) -> Story:
    """Read one story's tables `words` and `clock`."""
    table = tables.read("words", words)
    middle = (table["onset_s"].to_numpy() + table["offset_s"].to_numpy()) / 2
    mids = tables.read("clock", clock, ["mid_s"])["mid_s"].to_numpy()
    return Story(name, table["word"].to_pylist(), middle, mids)


def story_key(story: Story, card: Mapping[str, Any], settings: Mapping[str, Any], dtype: str) -> str:
    """Key of a story's features: everything that its numbers depend on."""
    return feature_store.content_key(
        numbers=numbers("text"),
        weights=card["weights_id"],
        context=[settings["unit"], settings["max_context"], settings["restart_at"]],
        dtype=dtype,
        on_disk=settings["on_disk"],
        words=story.words,
        times=story.times.tolist(),
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


def extract_text(
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
        stories: story -> its tables (words, clock).
        index: `results/features/<model>.h5`, written last.
        store: folder of the story files, `results/features/stories`.
        settings: the config's `features.text`, with `device`, `device_map` and `on_disk` of `features`.
        layers: layers to keep; None for all.

    Raises:
        UserError: a table or the model is not what it should be, or a story's words cannot be aligned.
    """
    card = read_json(card_path)
    told = [read_story(name, *paths) for name, paths in stories.items()]
    files = story_files(card, told, store, settings)
    wanted = range(card["n_layers"] + 1) if layers is None else layers
    numbers = ["bits_per_character", "n_characters"] if settings["bits_per_character"] else []
    missing = [s for s in told if not feature_store.is_whole(files[s.name], wanted, numbers)]
    if missing:
        if layers is not None:  # never take a layer away from those who link to the file
            layers = sorted(set(layers).union(*(feature_store.held(files[s.name]) for s in missing)))
        beside = Path(store) / card["model"]
        with offload_folder(beside) as offload:
            model = TextModel(card, settings, layers, offload, beside)
            dtype = str(model.model.dtype).removeprefix("torch.")
            _extract_missing(model, missing, files, {"model": card["model"], "dtype": dtype})
    feature_store.write_index(index, files)


def _extract_missing(
    model: TextModel, stories: Sequence[Story], files: Mapping[str, Path], common: Mapping[str, Any]
) -> None:
    """Pass story after story; the next one is tokenised while the device works.

    Each is saved before the next one starts: a killed job has lost at most the story it was in.
    """
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(model.passage, stories[0])
        for i, story in enumerate(bar(stories, f"{model.card['model']} stories", unit="story")):
            passage = coming.result()
            if i + 1 < len(stories):
                coming = ahead.submit(model.passage, stories[i + 1])
            layers, numbers = model.features(story, passage)
            attrs = {**common, "story": story.name, **numbers}
            feature_store.write_story(files[story.name], layers, attrs, model.settings["on_disk"])
