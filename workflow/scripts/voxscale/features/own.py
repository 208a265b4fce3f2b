"""Features of the user's own: arrays from files, or the vectors of a story's words, brought to the TR clock.

What a row of an array is, the model's entry says: a word of the transcript, a moment of a regular rate or of
the file's own times, or a TR.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxscale.features.arrays import Rows, open_rows
from voxscale.features.extraction import Made, update_features
from voxscale.features.store import content_key, feature_attrs, feature_path
from voxscale.features.vectors import read_vectors, spellings, vectors_of
from voxscale.io import read_json, tables
from voxscale.progress import bar, notify
from voxscale.timeseries import lanczos_resample
from voxscale.versions import numbers

_AT_ONCE = 64  # TRs that are resampled together, from the samples around them
_LOBES = 3
_MOST = 0.8  # of TRs and rows; sounds have some seconds more than responses
_MANY_UNKNOWN = 0.1  # share of a story's words without a vector above which a warning says so
_SHOWN = 5  # of these words


class OwnSources(NamedTuple):
    """Tables `clock` and `words` of a story, and the user's files of its features, see `read_own`."""

    clock: str | Path
    words: str | Path
    files: Mapping[int | None, str | Path]


class StoryTimes(NamedTuple):
    """A story's words and TRs.

    Attributes:
        words, times: each word, and its middle (words,) s after the start of the sound.
        mids: (T,) s, middles of the TRs of the stimulus clock.
        in_response: (T,) bool, whether the responses keep a TR.
    """

    words: list[str]
    times: np.ndarray
    mids: np.ndarray
    in_response: np.ndarray


def read_times(words: str | Path, clock: str | Path) -> StoryTimes:
    """Read a story's tables `words` and `clock`."""
    spoken = tables.read("words", words)
    trs = tables.read("clock", clock, ["mid_s", "in_response"])
    middle = (spoken["onset_s"].to_numpy() + spoken["offset_s"].to_numpy()) / 2
    inside = trs["in_response"].to_numpy(zero_copy_only=False)
    return StoryTimes(spoken["word"].to_pylist(), middle, trs["mid_s"].to_numpy(), inside)


def resample_near(values: np.ndarray, times: np.ndarray, mids: np.ndarray) -> np.ndarray:
    """`lanczos_resample`, from the samples around some TRs at a time: a rate may have many.

    Args:
        values: (n, d); times: (n,) s, in any order; mids: (T,) s, evenly spaced.

    Returns:
        (T, d) float32.
    """
    if len(mids) < 2:
        raise ValueError("the TR clock has fewer than two rows; give at least two")
    tr_s = float(np.mean(np.diff(mids)))
    order = np.argsort(times, kind="stable")
    times, reach = times[order], _LOBES * tr_s
    parts = []
    for start in range(0, len(mids), _AT_ONCE):
        some = mids[start : start + _AT_ONCE]
        near = slice(*np.searchsorted(times, [some[0] - reach, some[-1] + reach]))
        rows = values[order[near]].astype(np.float32)
        parts.append(lanczos_resample(rows, times[near], some, _LOBES, 1 / tr_s))
    return np.concatenate(parts)


def row_times(n: int, at: Any, story: StoryTimes, own: np.ndarray | None = None) -> np.ndarray | None:
    """When each row of a story's features was taken, (n,) s after the start of the sound; None for TRs.

    Args:
        n: number of rows.
        at: `words`, `trs`, {rate_hz, start_s} or {times}, see `ModelEntry.at`.
        own: the file's own times, for the last.

    Raises:
        ValueError: there are not as many rows as words or TRs, or a time cannot be one.
    """
    if at == "words":
        if n != len(story.times):
            raise ValueError(f"has {n} rows, but the story has {len(story.times)} words; give a row for each")
        return story.times
    if at == "trs":
        kept, whole = int(story.in_response.sum()), len(story.mids)
        if n not in (kept, whole):
            cut = f", or {whole} with those of dataset.trim" if whole != kept else ""
            raise ValueError(f"has {n} rows, but the story has {kept} response TRs{cut}; give a row for each")
        return None
    if own is not None:
        times = own.astype(float).ravel()
        if len(times) != n or not np.isfinite(times).all():
            raise ValueError(
                f"has {n} rows and {len(times)} times, which must be numbers in s, one for each row"
            )
        return times
    tr_s = float(np.mean(np.diff(story.mids)))
    if at["rate_hz"] * tr_s < 1:
        raise ValueError(f"has {at['rate_hz']:g} rows per second, fewer than TRs of {tr_s:g} s; give at: trs")
    return at["start_s"] + np.arange(n) / at["rate_hz"]


def _on_trs(values: np.ndarray, times: np.ndarray | None, story: StoryTimes) -> np.ndarray:
    """Rows of features on the stimulus clock, (T, d) float32; a TR that the responses lack may be 0."""
    if times is not None:
        return resample_near(values, times, story.mids)
    if len(values) == len(story.mids):
        return values
    padded = np.zeros((len(story.mids), values.shape[1]), np.float32)
    padded[story.in_response] = values
    return padded


def _numbers(values: np.ndarray, layer: int) -> np.ndarray:
    """Values of a layer as float32.

    Raises:
        ValueError: some are not finite numbers.
    """
    if values.dtype.kind not in "fiub":
        raise ValueError(f"layer {layer} holds {values.dtype}, not numbers; leave it out")
    with np.errstate(over="ignore"):
        as_floats = np.asarray(values).astype(np.float32)
    if not np.isfinite(as_floats).all():
        row, column = np.argwhere(~np.isfinite(as_floats))[0]
        where = f"layer {layer}, row {row}, column {column}, each counted from 0,"
        raise ValueError(f"{where} is {values[row, column]}; features must be finite numbers of float32")
    return as_floats


def own_times(at: Any) -> str | None:
    """Name of the column or array of the file's own times, if rows are at these."""
    return at["times"] if isinstance(at, Mapping) and "times" in at else None


def _checked_times(
    rows: Rows, number: int | None, card: Mapping[str, Any], story: StoryTimes
) -> np.ndarray | None:
    """`row_times` of a file whose layers and columns are those of the other stories.

    Raises:
        ValueError: something differs; nothing is cut or filled to fit.
    """
    layers = [number] if number is not None else list(card["layers"])
    if list(rows.layers) != layers:
        named = [", ".join(map(str, some)) for some in (rows.layers, layers)]
        raise ValueError(f"has layers {named[0]}, but other stories have {named[1]}; give all the same")
    n, width = next(iter(rows.layers.values())).shape
    if width != card["width"]:
        raise ValueError(f"has {width} columns, but other stories have {card['width']}; give all the same")
    return row_times(n, card["at"], story, None if rows.times is None else rows.times.read())


def check_own(
    card: Mapping[str, Any], files: Mapping[int | None, str | Path], story: StoryTimes
) -> str | None:
    """Check what can be known of a story's files without reading the features; see `read_own`.

    Returns:
        what a user should know of their times, if these hardly meet the story's.
    """
    note = None
    for number, path in files.items():
        with open_rows(path, number, own_times(card["at"])) as rows:
            times = _checked_times(rows, number, card, story)
        if times is not None and card["at"] != "words" and not _meet(times, story):
            note = (
                f"{path}: its rows are at {times.min():.4g} to {times.max():.4g} s, the story's TRs at "
                f"{story.mids[0]:.4g} to {story.mids[-1]:.4g} s"
            )
    return note


def _meet(times: np.ndarray, story: StoryTimes) -> bool:
    """Whether most TRs lie between the first and the last row, and most rows between the ends of the TRs."""
    tr_s = float(np.mean(np.diff(story.mids)))
    spans = (times, story.mids[story.in_response]), (story.mids, times)
    return all(
        ((inner > outer.min() - tr_s) & (inner < outer.max() + tr_s)).mean() > _MOST for outer, inner in spans
    )


def read_own(
    card: Mapping[str, Any], files: Mapping[int | None, str | Path], story: StoryTimes
) -> dict[int, np.ndarray]:
    """Features of a story from the user's files: layer -> (T, width) float32.

    Args:
        card: of the model: at, width, layers.
        files: layer, or None if a file says itself which layers it has -> file.

    Raises:
        UserError: a file is not what it should be.
    """
    made = {}
    for number, path in files.items():
        with open_rows(path, number, own_times(card["at"])) as rows:
            times = _checked_times(rows, number, card, story)
            for layer, stored in rows.layers.items():
                made[layer] = _on_trs(_numbers(stored.read(), layer), times, story)
    return made


def extract_own(
    card_path: str | Path,
    stories: Mapping[str, OwnSources],
    digests: Mapping[str, str],
    index: str | Path,
    store: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Bring features of the user's own to the TR clock, of all stories; those that exist are kept.

    Args:
        card_path: `results/models/<model>.json`.
        stories: story -> its files.
        digests: of each of the user's files.
        index: `results/features/<model>.h5`, written last.
        store: folder of the story files, `results/features/stories`.
        settings: on_disk of the config's `features`.

    Raises:
        UserError: a file is missing or not what it should be.
    """
    card = read_json(card_path)
    heard = {name: read_times(sources.words, sources.clock) for name, sources in stories.items()}
    files = {
        name: feature_path(
            store,
            card["model"],
            name,
            content_key(
                numbers=numbers("own"),
                at=card["at"],
                source=[digests.get(str(path)) for path in stories[name].files.values()],
                words=[story.words, story.times.tolist()] if card["at"] in (None, "words") else None,
                clock=[story.mids.tolist(), story.in_response.tolist()],
                on_disk=settings["on_disk"],
            ),
        )
        for name, story in heard.items()
    }

    def read(missing: list[str], _: list[int]) -> Iterator[Made]:
        for name in bar(missing, card["model"], unit="story"):
            yield name, read_own(card, stories[name].files, heard[name]), {"model": card["model"]}

    def embed(missing: list[str], _: list[int]) -> Iterator[Made]:
        used = {form for name in missing for word in heard[name].words for form in spellings(word)}
        vectors = read_vectors(card["path"], used)
        for name in missing:
            values, unknown = vectors_of(heard[name].words, vectors, card["width"])
            often = ", ".join(word for word, _ in Counter(unknown).most_common(_SHOWN)) or "none"
            noted = {"model": card["model"], "unknown": len(unknown) / len(heard[name].words), "often": often}
            yield name, {0: resample_near(values, heard[name].times, heard[name].mids)}, noted

    embeds = card["modality"] == "embeddings"
    update_features(index, files, card["layers"], embed if embeds else read, settings["on_disk"])
    if embeds:
        _say_unknown(card, {name: feature_attrs(index, name) for name in stories})


def _say_unknown(card: Mapping[str, Any], stories: Mapping[str, Mapping[str, Any]]) -> None:
    """Say how many of the words have no vector, in each story; warn where they are many."""
    shares = {name: about["unknown"] for name, about in stories.items()}
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    notify(f"{card['model']}: words without a vector: {listed}")
    if (worst := max(shares, key=shares.__getitem__)) and shares[worst] > _MANY_UNKNOWN:
        many = sum(share > _MANY_UNKNOWN for share in shares.values())
        print(
            f"WARNING {card['model']}: more than {_MANY_UNKNOWN:.0%} of the words have no vector in "
            f"{card['path']}, in {many} of {len(shares)} stories, most in {worst} ({shares[worst]:.0%}, such "
            f"as {stories[worst]['often']}); they count as zeros",
            file=sys.stderr,
        )
