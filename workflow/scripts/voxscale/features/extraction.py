"""What every extraction shares: stories that the store lacks are made one by one, then all are indexed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.features import store
from voxscale.models import open_config, resolve_device, resolve_dtype
from voxscale.overlap import finish_behind
from voxscale.versions import numbers

# Story, layer -> (clock TRs, width), and numbers or strings to store with them.
Made = tuple[str, Mapping[int, np.ndarray], Mapping[str, Any]]


def network_files(
    stage: str,
    card: Mapping[str, Any],
    depends: Mapping[str, Mapping[str, Any]],
    folder: str | Path,
    settings: Mapping[str, Any],
) -> dict[str, Path]:
    """Where a network's features of each story are, or will be, with these settings.

    Args:
        stage: whose version of numbers counts, `text` or `speech`.
        card: content of the model card.
        depends: story -> everything its features depend on besides the model and its precision.
        folder: of the story files, `results/features/stories`.
        settings: `device`, `dtype` and `on_disk` of the config's `features`.
    """
    device = resolve_device(settings["device"])
    dtype = resolve_dtype(settings["dtype"], device, open_config(card["path"]))
    same = {
        "numbers": numbers(stage),
        "weights": card["weights_id"],
        "dtype": str(dtype).removeprefix("torch."),
        "on_disk": settings["on_disk"],
    }
    return {
        story: store.feature_path(folder, card["model"], story, store.content_key(**same, **own))
        for story, own in depends.items()
    }


def update_features(
    index: str | Path,
    files: Mapping[str, Path],
    layers: Iterable[int],
    make: Callable[[list[str], list[int]], Iterator[Made]],
    on_disk: str,
    attrs: Iterable[str] = (),
) -> None:
    """Write the features of the stories that the store lacks, and the index that links all of them.

    Each story is saved while the next one is made, so that a killed job loses at most two stories, or two
    groups of stories that pass together.

    Args:
        index: `results/features/<model>.h5`, written last.
        files: story -> its file.
        layers: layers that each story's file must hold.
        make: makes the features of the stories that it is given, in order, at the layers that it is given.
        on_disk: float32 or float16.
        attrs: attributes that each story's file must have.
    """
    wanted, needed = set(layers), {"format", *attrs}  # a file without layers has its format
    held = {story: store.stored_names(path) for story, path in files.items()}
    missing = [story for story, (there, names) in held.items() if not (wanted <= there and needed <= names)]
    if missing:
        # A file that is written again keeps the layers that it had: other studies may link to it.
        every = wanted.union(*(held[story][0] for story in missing))

        def save(made: Made) -> None:
            story, values, noted = made
            store.write_features(files[story], values, {**noted, "story": story}, on_disk)

        finish_behind(make(missing, sorted(every)), save)
    store.write_feature_index(index, files)
