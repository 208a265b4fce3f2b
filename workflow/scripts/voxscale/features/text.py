"""Text features: hidden states of a causal LM at each word, on the TR clock, story by story."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxscale.features.extraction import Made, network_files, update_features
from voxscale.features.language_model import LanguageModel, StoryWords
from voxscale.features.own import read_times
from voxscale.io import read_json
from voxscale.models import offload_folder
from voxscale.overlap import prepare_ahead
from voxscale.progress import bar


def _read(stories: Mapping[str, tuple[str | Path, str | Path]]) -> dict[str, StoryWords]:
    """The tables `words` and `clock` of each story."""
    found = {}
    for name, (words, clock) in stories.items():
        spoken = read_times(words, clock)
        found[name] = StoryWords(name, spoken.words, spoken.times, spoken.mids)
    return found


def _files(
    card: Mapping[str, Any], stories: Mapping[str, StoryWords], store: str | Path, settings: Mapping[str, Any]
) -> dict[str, Path]:
    context = [settings["unit"], settings["max_context"], settings["restart_at"]]
    depends = {
        name: {
            "context": context,
            "words": story.words,
            "times": story.times.tolist(),
            "clock": story.clock.tolist(),
        }
        for name, story in stories.items()
    }
    return network_files("text", card, depends, store, settings)


def text_files(
    card: Mapping[str, Any],
    stories: Mapping[str, tuple[str | Path, str | Path]],
    store: str | Path,
    settings: Mapping[str, Any],
) -> dict[str, Path]:
    """Where the text features of each story are, or will be; arguments as for `extract_text`."""
    return _files(card, _read(stories), store, settings)


def extract_text(
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
        stories: story -> its tables (words, clock).
        index: `results/features/<model>.h5`, written last.
        store: folder of the story files, `results/features/stories`.
        settings: the config's `features.text`, with `device`, `device_map` and `on_disk` of `features`.
        layers: layers to keep; None for all.

    Raises:
        UserError: a table or the model is not what it should be, or a story's words cannot be aligned.
    """
    card, heard = read_json(card_path), _read(stories)
    folder = Path(store) / card["model"]

    def make(missing: list[str], kept: list[int]) -> Iterator[Made]:
        with offload_folder(folder) as offload:
            model = LanguageModel(card, settings, kept, offload, folder)
            common = {"model": card["model"], "dtype": str(model.model.dtype).removeprefix("torch.")}
            together = model.groups({name: len(story.words) for name, story in heard.items()})
            left = [
                [heard[name] for name in names] for names in together if not set(names).isdisjoint(missing)
            ]
            ready = prepare_ahead(left, lambda stories: [model.prepare(story) for story in stories])
            with bar(range(len(missing)), f"{card['model']} stories", unit="story") as progress:
                for stories, prepared in ready:
                    for story, made in zip(stories, model.features(stories, prepared), strict=True):
                        if story.name in missing:
                            yield story.name, made[0], {**common, **made[1]}
                            progress.update()

    update_features(
        index,
        _files(card, heard, store, settings),
        range(card["n_layers"] + 1) if layers is None else layers,
        make,
        settings["on_disk"],
        ["bits_per_character", "n_characters"] if settings["bits_per_character"] else [],
    )
