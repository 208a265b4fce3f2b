"""Response files of labs: hf5, npy, npz and images, all read as (TRs, voxels), block by block."""

import contextlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from voxscale.dataset.confounds import CLEANING_BYTES
from voxscale.dataset.declared import require_inside, require_size
from voxscale.dataset.geometry import Geometry
from voxscale.dataset.images import IMAGES, Reading, read_headers, read_runs
from voxscale.errors import UserError
from voxscale.io import HDF5_MAGIC, require

# What reading an npz or npy file may raise; an encrypted one, or one packed in another way, a RuntimeError.
_BROKEN = (
    *(KeyError, ValueError, EOFError, OSError, OverflowError, RuntimeError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)
RESPONSE_SUFFIXES = (".hf5", ".h5", ".hdf5", ".npy", ".npz")


class StoryResponses(NamedTuple):
    """One story of one subject, from any kind of file.

    `data` slices like an array of (TRs, voxels); `repeats`, if the story was heard several times, like one of
    (repeats, TRs, voxels).
    """

    data: Any
    repeats: Any = None


class ResponseHeader(NamedTuple):
    """What a story's files hold, by their headers.

    Attributes:
        n_repeats: 0 if there is only one series.
        held: bytes that reading the story keeps in memory, in addition to the copied block.
        geometry: of images.
    """

    n_trs: int
    n_voxels: int
    n_repeats: int
    held: float
    geometry: Geometry | None = None


class _Reversed:
    """An array of a MATLAB v7.3 file, which has its axes in the reverse order."""

    def __init__(self, array: h5py.Dataset) -> None:
        self.shape, self.dtype, self._array = array.shape[::-1], array.dtype, array

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        return self._array[key[::-1]].T


def _check(path: Path, responses: StoryResponses) -> None:
    data, repeats = responses
    if len(data.shape) != 2 or 0 in data.shape:
        raise UserError(f"{path}: data has shape {tuple(data.shape)}; it must be (TRs, voxels)")
    for name, array in (("data", data), ("repeats", repeats)):
        if array is not None and array.dtype.kind not in "fiu":
            raise UserError(f"{path}: {name} holds {array.dtype}, not numbers; save it as float32 or float64")
    if repeats is not None and (repeats.shape[1:] != data.shape or not repeats.shape[0]):
        raise UserError(
            f"{path}: repeats have shape {tuple(repeats.shape)}, data {tuple(data.shape)}; "
            "repeats must be (repeats, TRs, voxels)"
        )


def kind_of(path: Path) -> str:
    """What a response file is by its first bytes, whatever its ending: image, hdf5, npy, npz.

    Raises:
        UserError: none of them.
    """
    if path.name.lower().endswith(IMAGES):
        return "image"
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return "npz"
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if h5py.is_hdf5(path) or start == HDF5_MAGIC:  # MATLAB puts a block of its own in front; or cut off
        return "hdf5"
    what = "a whole NumPy" if path.suffix.lower() in (".npy", ".npz") else "an HDF5"
    raise UserError(f"{path}: is not {what} file; save it as {', '.join(RESPONSE_SUFFIXES)} or as an image")


@contextlib.contextmanager
def _hdf5(path: Path) -> Iterator[StoryResponses]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        what = (
            "is cut off" if "truncated" in str(error) else f"cannot be opened ({str(error).splitlines()[0]})"
        )
        raise UserError(f"{path}: {what}; get it again") from None
    with file:
        try:
            data, repeats = file.get("data"), file.get("individual_repeats")
        except (OSError, RuntimeError) as error:  # links that lead nowhere, or back to themselves
            detail = str(error).splitlines()[0]
            raise UserError(f"{path}: its dataset `data` cannot be opened ({detail}); get it again") from None
        if isinstance(data, h5py.Group) and "pandas_type" in data.attrs:
            raise UserError(
                f"{path}: was written by pandas' to_hdf; save the array itself, for instance with "
                "numpy.save(..., frame.to_numpy())"
            )
        if not isinstance(data, h5py.Dataset):
            held = ", ".join(file) or "nothing"
            raise UserError(
                f"{path}: has no dataset `data` (it holds {held}); save the responses under that name"
            )
        for name, item in (("data", data), ("individual_repeats", repeats)):
            if item is None:
                continue
            if not isinstance(item, h5py.Dataset) or item.shape is None:
                raise UserError(f"{path}: its `{name}` is not an array; save it as a dataset of numbers")
            require_inside(path, item)
            require_size(path, item.shape, item.dtype)
        if "MATLAB_class" in data.attrs:
            data, repeats = _Reversed(data), None if repeats is None else _Reversed(repeats)
        yield StoryResponses(data, repeats)


def _numpy(path: Path, kind: str) -> StoryResponses:
    if kind == "npz":
        _npz_headers(path)
    try:
        content = np.load(path, mmap_mode="r" if kind == "npy" else None, allow_pickle=False)
        if kind == "npy":
            return StoryResponses(content)
        with content:
            arrays = {name: content[name] for name in ("data", "repeats") if name in content}
            held = ", ".join(content) or "nothing"
    except _BROKEN as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path}: is not a whole NumPy file ({detail}); save it again") from None
    if "data" not in arrays:
        raise UserError(f"{path}: has no array `data` (it holds {held}); save the responses under that name")
    return StoryResponses(arrays["data"], arrays.get("repeats"))


def _npz_headers(path: Path) -> StoryResponses:
    """Shapes and dtypes of an npz file's arrays, without unpacking them: arrays of nothing."""
    found, form = {}, np.lib.format
    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    try:
        with zipfile.ZipFile(path) as file:
            names = [Path(member).stem for member in file.namelist()]
            for name in {"data", "repeats"} & set(names):
                with file.open(f"{name}.npy") as member:
                    shape, _, dtype = readers[form.read_magic(member)](member)
                require_size(path, shape, dtype)
                found[name] = np.broadcast_to(np.empty((), dtype), shape)
    except _BROKEN as error:
        raise UserError(f"{path}: is not a whole NumPy file ({error}); save it again") from None
    if "data" not in found:
        raise UserError(f"{path}: has no array `data` (it holds {', '.join(names)}); give it that name")
    return StoryResponses(**found)


def read_response_header(paths: Sequence[str | Path], reading: Reading | None = None) -> ResponseHeader:
    """What a story's files hold, from headers and masks alone; errors as `open_responses`."""
    files = [require(path, "response") for path in paths]
    first = files[0]
    kind = kind_of(first)
    if kind == "image":
        reading = reading or Reading()
        header, *others = read_headers(files, reading)
        n_trs, n_voxels, n_runs = (
            header.n_trs - reading.dummy_scans,
            header.geometry.n_voxels,
            1 + len(others),
        )
        # What a run is read from; the voxels of all runs, their stack and their mean.
        voxels = 4.0 * header.n_trs * n_voxels * (2 * n_runs + 2 if n_runs > 1 else 2)
        cleaned = CLEANING_BYTES if reading.cleaning else 0
        held = max(header.held, cleaned) + voxels
        return ResponseHeader(n_trs, n_voxels, n_runs if n_runs > 1 else 0, held, header.geometry)
    if kind == "npz":
        _check(first, headers := _npz_headers(first))
        return _header(headers, sum(float(array.nbytes) for array in headers if array is not None))
    with open_responses(files) as responses:
        # What is read of a mapped npy file stays in memory as long as there is room.
        mapped = isinstance(responses.data, np.ndarray)
        return _header(responses, float(first.stat().st_size) if mapped else 0.0)


def _header(responses: StoryResponses, held: float) -> ResponseHeader:
    data, repeats = responses
    return ResponseHeader(*data.shape, 0 if repeats is None else len(repeats), held)


@contextlib.contextmanager
def open_responses(paths: Sequence[str | Path], reading: Reading | None = None) -> Iterator[StoryResponses]:
    """Open one story of one subject.

    Args:
        paths: one hf5, npy or npz file; or the images of the story's runs, several runs being repeats.
        reading: how images are read.

    Yields:
        `.data` (TRs, voxels) and `.repeats` (repeats, TRs, voxels) or None, read where they are sliced.

    Raises:
        UserError: a file is missing, a stub, cut off, of another kind or of another shape.
    """
    files = [require(path, "response") for path in paths]
    first = files[0]
    with contextlib.ExitStack() as stack:
        kind = kind_of(first)
        if kind == "image":
            responses = StoryResponses(*read_runs(files, reading or Reading()))
        elif kind == "hdf5":
            responses = stack.enter_context(_hdf5(first))
        else:
            responses = _numpy(first, kind)
        _check(first, responses)
        yield responses
