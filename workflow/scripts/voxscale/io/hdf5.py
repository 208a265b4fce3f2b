"""HDF5 files whose damage is noticed as they are read.

The format of HDF5 1.10 has a checksum in each header and index; each chunk of an array gets one too. Texts
have a fixed length, since HDF5 keeps others in a heap without a checksum.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.io.files import atomic
from voxscale.io.origin import AGAIN, origin_of, reading, require_origin

_FORMAT = ("v110", "v110")


def checked(shape: Sequence[int], chunk: Sequence[int], dtype: str = "float32") -> dict[str, Any]:
    """Options of `create_dataset` for an array that is read some `chunk` at a time; no length may be 0."""
    chunks = tuple(map(min, shape, chunk))
    return {"shape": tuple(shape), "dtype": dtype, "chunks": chunks, "fletcher32": True}


def add_array(group: h5py.Group, name: str, values: Any) -> None:
    """Add an array of one dimension or more that is read at once, of numbers or texts, with a checksum."""
    values = np.asarray(values)
    if values.dtype.kind == "U":
        values = np.char.encode(values, "utf-8")
    whole = {"chunks": values.shape, "fletcher32": True} if values.size else {}
    group.create_dataset(name, data=values, **whole)


def set_attributes(item: h5py.HLObject, values: Mapping[str, Any]) -> None:
    """Set attributes, numbers or texts."""
    for name, value in values.items():
        item.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def attributes(item: h5py.HLObject) -> dict[str, Any]:
    """Attributes of a file, group or dataset as plain numbers and texts."""

    def plain(value: Any) -> Any:
        value = value.item() if isinstance(value, np.generic) else value
        return value.decode() if isinstance(value, bytes) else value

    return {name: plain(value) for name, value in item.attrs.items()}


@contextlib.contextmanager
def new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """A new file, which appears whole or not at all."""
    with atomic(path) as temporary, h5py.File(temporary, "w", libver=_FORMAT) as file:
        set_attributes(file, {"origin": origin_of(path)})
        yield file


@contextlib.contextmanager
def open_hdf5(path: str | Path, remedy: str = AGAIN, missing: str = "run again") -> Iterator[h5py.File]:
    """Open a file of the workflow; errors of reading inside the block are errors of the file.

    Args, Raises: as for `reading`; also a file that was made for another place.
    """
    with reading(path, remedy, missing), h5py.File(path, "r") as file:
        require_origin(path, file.attrs.get("origin"), remedy)
        yield file
