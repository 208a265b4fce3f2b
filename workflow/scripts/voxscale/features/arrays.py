"""Arrays in a user's own files: npy, npz, HDF5 (also of MATLAB), parquet, csv, tsv; their content says which.

A file is a mapping of names to arrays, whose shapes are known before their values are read.
"""

import contextlib
import csv
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from voxscale.errors import naming
from voxscale.io import reading, require

WHOLE = ""  # name of the array of a file that holds one without a name: npy, csv, tsv, parquet
_LAYER = re.compile(r"(?:arr_|layers?[_ .-]?|hidden_states?[_ .-]?)?(\d+)")
_DECIMAL_COMMA = re.compile(r"\d,\d")
_SURE_NAMES = 10  # a first line 0, 1, ..., 9 is no row of values
_MOST_COLUMNS = 5  # named in a message
_MOST_LAYERS = 300  # of an array; the deepest networks have half of it


class Stored(NamedTuple):
    """An array of a file, and how to read its values."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


def _of(array: np.ndarray) -> Stored:
    return Stored(array.shape, array.dtype, lambda: array)


def _npz(path: Path) -> dict[str, Stored]:
    file = np.load(path, allow_pickle=False)
    found = {}
    for name in file.files:
        with file.zip.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
            shape, _, dtype = read_header(member)
        found[name] = Stored(shape, dtype, functools.cache(functools.partial(file.__getitem__, name)))
    return found


def _hdf5(file: h5py.File) -> dict[str, Stored]:
    found: dict[str, Stored] = {}

    def add(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.shape is None or name.startswith("#"):
            return
        if "MATLAB_class" in item.attrs:  # MATLAB writes the axes in the reverse order
            found[name] = Stored(item.shape[::-1], item.dtype, functools.cache(lambda: item[()].T))
        else:
            found[name] = Stored(item.shape, item.dtype, functools.cache(lambda: item[()]))

    file.visititems(add)
    return found


def _is_number(cell: str) -> bool:
    if cell in ("NA", "N/A", "n/a"):  # a hole, which is refused later, and no name of a column
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_text(path: Path) -> pd.DataFrame:
    """A table of text, with or without a header: cells between commas, semicolons, tabs or blanks."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = [line for line in (file.readline(1 << 22) for _ in range(50)) if line.strip()]
    lines = [line for line in lines if not line.startswith("#")] or [""]
    if "\0" in lines[0] or "\ufffd" in lines[0]:
        raise ValueError("it is none of npy, npz, HDF5, parquet, csv and tsv")
    # The comma last: beside a tab or a semicolon it may stand for the decimal point.
    between = next((mark for mark in "\t;," if mark in lines[0]), " ")
    blanks = between == " "
    first = lines[0].split() if blanks else next(csv.reader([lines[0].strip("\r\n")], delimiter=between))
    decimal = "," if between in "\t;" and any(_DECIMAL_COMMA.search(line) for line in lines) else "."
    numbers = [_is_number(cell.replace(decimal, ".")) for cell in first]
    # pandas names columns 0, 1, ... if they have no names, and puts an empty cell above its index.
    indexed = first[:1] == [""]
    counted = len(first) > 1 and first[indexed:] == [str(i) for i in range(len(first) - indexed)]
    if counted and not indexed and len(first) < _SURE_NAMES:
        raise ValueError(
            f"its first line, {', '.join(first)}, may be the names of its columns or a row; name the "
            "columns, such as f0, f1"
        )
    return pd.read_csv(
        path,
        sep=r"\s+" if blanks else between,
        decimal=decimal,
        header=None if all(numbers) and not counted else 0,
        comment="#",
        encoding="utf-8-sig",
    )


def _columns(frame: pd.DataFrame) -> dict[str, Stored]:
    """The columns of a table by name, and all but the index that pandas or R wrote as a first one."""
    first = str(frame.columns[0]) if len(frame.columns) else ""
    unnamed = first.startswith(("Unnamed:", "__index_level_"))
    if unnamed and frame.iloc[:, 0].tolist() in (list(range(len(frame))), list(range(1, len(frame) + 1))):
        frame = frame.iloc[:, 1:]
    return {str(name): _of(frame[name].to_numpy()) for name in frame.columns}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Stored], bool]]:
    """Arrays by name, and whether they are the columns of a table."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x93NUMPY"):
        yield {WHOLE: _of(np.load(path, mmap_mode="r", allow_pickle=False))}, False
    elif start.startswith(b"PK"):
        yield _npz(path), False
    elif start.startswith(b"PAR1"):
        yield _columns(pd.read_parquet(path)), True
    elif h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            yield _hdf5(file), False
    else:
        yield _columns(_read_text(path)), True


def _name(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_COLUMNS} more" if len(names) > _MOST_COLUMNS else ""
    return ", ".join(names[:_MOST_COLUMNS]) + more


def _layers(arrays: Mapping[str, Stored], number: int | None) -> dict[int, Stored]:
    """Which array, or part of one, is which layer.

    Raises:
        ValueError: it cannot be known.
    """
    numbered = {int(match[1]): array for name, array in arrays.items() if (match := _LAYER.fullmatch(name))}
    if number is None and numbered and len(numbered) == len(arrays):
        return numbered
    if len(arrays) != 1:
        what = f"it holds {_name(list(arrays))}" if arrays else "it holds no array"
        how = "keep one" if number is not None else "name arrays by their layers (0, 1, ...), or keep one"
        raise ValueError(f"{what}; {how}")
    (array,) = arrays.values()
    if len(array.shape) != 3:
        return {number or 0: array}
    if number is not None:
        raise ValueError(f"has shape {array.shape}; the file of a layer must be (rows, columns)")
    if array.shape[0] > _MOST_LAYERS:
        axes = "the axes must be (layers, rows, columns)"
        raise ValueError(f"has shape {array.shape}, which would be {array.shape[0]} layers; {axes}")
    return {
        layer: Stored(array.shape[1:], array.dtype, lambda layer=layer: array.read()[layer])
        for layer in range(array.shape[0])
    }


class Rows(NamedTuple):
    """Layers of a file, each of (rows, columns), and its column of times if that is asked for."""

    layers: dict[int, Stored]
    times: Stored | None


def _rows(arrays: dict[str, Stored], is_table: bool, number: int | None, times: str | None) -> Rows:
    own = None
    if times is not None:
        if times not in arrays:
            raise ValueError(f"has no {times} for its times; it holds {_name(list(arrays)) or 'no names'}")
        own = arrays.pop(times)
        if len([n for n in own.shape if n > 1]) > 1:
            raise ValueError(f"its times {times} have shape {own.shape}; they must be one for each row")
    if text := [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]:
        what, kind = "columns" if is_table else "arrays", arrays[text[0]].dtype
        held = "text or lists" if kind.kind in "OSU" else kind
        raise ValueError(f"its {what} {_name(text)} hold {held}, not numbers; leave them out")
    if is_table:
        shape = (next((array.shape[0] for array in arrays.values()), 0), len(arrays))
        parts = list(arrays.values())
        arrays = {WHOLE: Stored(shape, np.dtype(float), lambda: np.stack([p.read() for p in parts], 1))}
    layers = _layers(arrays, number)
    for layer, array in layers.items():
        if len(array.shape) == 1:
            layers[layer] = Stored((*array.shape, 1), array.dtype, lambda array=array: array.read()[:, None])
        elif len(array.shape) != 2:
            raise ValueError(f"has an array of shape {array.shape}; it must be (rows, columns)")
    shapes = {array.shape for array in layers.values()}
    if len(shapes) > 1 or 0 in next(iter(shapes)):
        shown = ", ".join(f"{layer}: {array.shape}" for layer, array in sorted(layers.items()))
        raise ValueError(f"its layers have shapes {shown}; all must have the same rows and columns, above 0")
    return Rows(dict(sorted(layers.items())), own)


@contextlib.contextmanager
def open_rows(path: str | Path, number: int | None = None, times: str | None = None) -> Iterator[Rows]:
    """Open a file of features.

    Args:
        number: the layer that it holds; None if it says that itself: by names (`0`, `layer_1`), or by the
            first of three axes.
        times: name of the column or array with the time of each row.

    Raises:
        UserError: it is missing, damaged, of another kind or of another shape.
    """
    path = require(path, "feature")
    problem = "cannot be read"
    with reading(path, "save it again", problem=problem), naming(path), _opened(path) as (arrays, is_table):
        yield _rows(arrays, is_table, number, times)
