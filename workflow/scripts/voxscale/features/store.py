"""Features on disk: one content-addressed file per story, and one index per model that links them.

    features/<model>.h5                          group /<story>: external link to the story's file
    features/stories/<model>/<story>-<key>.h5    datasets "0", "1", ...: layer (clock TRs, width); attributes

A story's file is written completely and never changed: its key is a digest of everything its numbers depend
on. So a killed job continues with its story, and a new story or subject repeats no pass.
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale import provenance
from voxscale.errors import UserError
from voxscale.io import attributes, checked, new_hdf5, open_hdf5, remake, set_attributes

_FORMAT = "voxscale-features-1"


def content_key(**parts: Any) -> str:
    """Sixteen hex digits that change when any of the (JSON-able) parts does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def feature_path(folder: str | Path, model: str, story: str, key: str) -> Path:
    """Where the features of `story` with this content key live under `folder`."""
    return Path(folder) / model / f"{story}-{key}.h5"


@contextlib.contextmanager
def _open(path: Path, index: Path | None = None) -> Iterator[h5py.File]:
    """Open a story's file, or an index; an error says what to do.

    Args:
        index: the index that links to the story's file. While it exists, nothing is extracted again.
    """
    remedy = remake(index, f"it and {index}") if index else remake(path)
    missing = remake(index, str(index)) if index else "run the extraction again"
    with open_hdf5(path, remedy, missing) as file:
        if attributes(file).get("format") != _FORMAT:
            raise UserError(f"{path}: not a feature file of this version; {remedy}")
        yield file


def write_features(
    path: str | Path, layers: Mapping[int, np.ndarray], attrs: Mapping[str, Any], dtype: str = "float32"
) -> None:
    """Write one story's layers, whole or not at all.

    Args:
        layers: layer number -> (clock TRs, width).
        attrs: numbers and strings stored with them, for instance `bits_per_character`.
        dtype: float32 or float16 on disk.

    Raises:
        UserError: values are not finite, or too large for float16.
    """
    with new_hdf5(path) as file:
        for layer, values in sorted(layers.items()):
            if not np.isfinite(values).all():
                raise UserError(f"{path}: layer {layer} has values that are not finite; use a wider dtype")
            if dtype == "float16" and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
                raise UserError(f"{path}: layer {layer} overflows float16; set features.on_disk: float32")
            # Raw: gzip or lzf with shuffle save only 4-8% of these noise-like mantissas while reads take 8-13
            # times as long (measured).
            layout = {}
            if values.size:  # even chunks of at most 64 rows: the last one is stored as large as the others
                rows = math.ceil(len(values) / math.ceil(len(values) / 64))
                layout = checked(values.shape, (rows, values.shape[1]), dtype)
            file.create_dataset(str(layer), data=values.astype(dtype, copy=False), **layout)
        about = {"provenance": json.dumps(provenance.collect(), sort_keys=True), "format": _FORMAT}
        set_attributes(file, {**attrs, **about})


def stored_names(path: str | Path) -> tuple[set[int], set[str]]:
    """Layers and attributes in the story file at `path`; none if the file is missing or incomplete."""
    try:
        with _open(Path(path)) as file:
            return {int(name) for name in file}, set(file.attrs)
    except UserError:
        return set(), set()


def write_feature_index(path: str | Path, files: Mapping[str, str | Path]) -> None:
    """Write a model's index: `files` maps each story to its file; links are relative to the index."""
    with new_hdf5(path) as file:
        for story, target in sorted(files.items()):
            file[story] = h5py.ExternalLink(os.path.relpath(target, Path(path).parent), "/")
        set_attributes(file, {"format": _FORMAT})


def feature_files(path: str | Path) -> dict[str, Path]:
    """Story -> its file, as the index at `path` links them.

    Raises:
        UserError: the file does not exist, or is not an index.
    """
    path = Path(path)
    with _open(path) as file:
        return {story: path.parent / file.get(story, getlink=True).filename for story in file}


def _story_file(path: str | Path, story: str) -> Path:
    found = feature_files(path)
    if story not in found:
        raise UserError(f"{path}: has no story {story}; add it to the stories and extract again")
    return found[story]


def feature_attrs(path: str | Path, story: str) -> dict[str, Any]:
    """Attributes of one story: plain numbers and strings."""
    with _open(_story_file(path, story), Path(path)) as file:
        return attributes(file)


def read_features(path: str | Path, story: str, layer: int) -> np.ndarray:
    """Features of one story and layer from the index at `path`.

    Returns:
        (clock TRs, width) float32.

    Raises:
        UserError: the index, the story's file or the layer is missing, cut off, or not what it should be.
    """
    story_file = _story_file(path, story)
    with _open(story_file, Path(path)) as file:
        if str(layer) not in file:
            raise UserError(
                f"{story_file}: has no layer {layer}; it holds {', '.join(sorted(file, key=int))}"
            )
        values = file[str(layer)][:]
    return values.astype(np.float32, copy=False)
