"""Features of the user's own: what their files say of layers and width, before the first job."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxscale.dataset import Dataset, read_transcript
from voxscale.errors import UserError, near_names
from voxscale.io import require
from voxscale.models import OWN, ModelEntry

_NAMED = 3  # of missing files


def with_own_files(
    registry: Mapping[str, ModelEntry], used: Iterable[str], stories: Sequence[str]
) -> Mapping[str, ModelEntry]:
    """The registry with layers and width of own features, as the files of the first story have them.

    Args:
        used: models of any sweep.

    Raises:
        UserError: a story has no file, or one without content, or the first one's is not what it should be.
    """
    found = {
        model: registry[model] for model in used if model in registry and registry[model].modality in OWN
    }
    return {**registry, **{model: _with_files(entry, stories) for model, entry in found.items()}}


def _with_files(entry: ModelEntry, stories: Sequence[str]) -> ModelEntry:
    from voxscale.features import open_rows, own_times, vector_layout  # torch slows each start

    if entry.modality == "embeddings":
        return replace(entry, width=vector_layout(entry.path).width)
    if "{layer" in entry.path:
        entry = replace(entry, layers=_numbered(entry, stories[0]))
    _require_files(entry, stories)
    layers, width = [], 0
    for number, path in entry.story_files(stories[0]).items():
        with open_rows(path, number, own_times(entry.at)) as rows:
            layers += rows.layers
            width = next(iter(rows.layers.values())).shape[1]
    return replace(entry, layers=layers, n_layers=layers[-1], width=width)


def _numbered(entry: ModelEntry, story: str) -> list[int]:
    """Numbers of the layers that a story has files of.

    Raises:
        UserError: it has none, or the numbers are written otherwise than the path says.
    """
    before, _, after = entry.path.partition("{layer")
    form, _, after = after.partition("}")
    before, after = (part.replace("{story}", story) for part in (before, after))
    there = Path(before + "x").parent
    # A path may be `all/layer-{layer}/{story}.npy`: whatever stands for the number lies in one folder.
    pieces = Path(before + "*" + after).relative_to(there)
    texts = [str(path)[len(before) : len(str(path)) - len(after)] for path in there.glob(str(pieces))]
    numbers = sorted(int(text) for text in texts if text.isdigit())
    if not numbers:
        raise UserError(f"{entry.where}.path: there is no file {before}<number>{after}; correct the path")
    for number in numbers:
        if (written := f"{{0{form}}}".format(number)) not in texts:
            wanted = max(map(len, texts))
            raise UserError(
                f"{entry.where}.path: there is no file {before}{written}{after}; if numbers of layers begin "
                f"with 0, write {{layer:0{wanted}}}"
            )
    return numbers


def _require_files(entry: ModelEntry, stories: Sequence[str]) -> None:
    """Each story must have its files, with their content."""
    files = [(story, path) for story in stories for path in entry.story_files(story).values()]
    lacking = [(story, path) for story, path in files if not os.path.lexists(path)]
    if not lacking:
        for _, path in files:
            require(path, "feature")
        return
    missing, path = list(dict.fromkeys(story for story, _ in lacking)), Path(lacking[0][1])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    near = near_names(path.name, sorted(other.name for other in path.parent.glob("[!.]*")))
    beside = f"; there is {near[0]}" if near else ""
    raise UserError(
        f"{entry.where}.path: no file {path}; the study needs one of each story, and has none of "
        f"{', '.join(missing[:_NAMED])}{more}{beside}"
    )


def check_own_files(registry: Mapping[str, ModelEntry], models: Iterable[str], dataset: Dataset) -> list[str]:
    """Look at all files of own features: layers, columns, and the number of rows next to words or TRs.

    Nothing is checked of a story whose transcript or clock is not there yet: the job that reads it will.

    Returns:
        a note on each model whose rows hardly meet the TRs of a story.

    Raises:
        UserError: a file is not what it should be.
    """
    entries = [registry[model] for model in models if registry[model].modality == "features"]
    notes: dict[str, list[str]] = {}
    if not entries:
        return []
    from voxscale.features import StoryTimes, check_own  # torch slows each start

    by_words = any(entry.at == "words" for entry in entries)
    for story in dataset.stories:
        if dataset.n_trs(story) is None or not dataset.transcript(story).exists():
            continue
        clock, words = dataset.clock(story).columns(story), []
        if by_words:
            words, _ = read_transcript(
                dataset.transcript(story), dataset.config.get("untimed_words", "refuse")
            )
        middle = np.array([(word.onset_s + word.offset_s) / 2 for word in words])
        times = StoryTimes([word.label for word in words], middle, clock["mid_s"], clock["in_response"])
        for entry in entries:
            card = {"at": entry.at, "width": entry.width, "layers": entry.layers}
            if note := check_own(card, entry.story_files(story), times):
                notes.setdefault(entry.where, []).append(note)
    return [
        f"{found[0]}; check {where}.at (so in {len(found)} of {len(dataset.stories)} stories)."
        for where, found in notes.items()
    ]
