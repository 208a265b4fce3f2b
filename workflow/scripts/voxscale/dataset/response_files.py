"""Response files of labs: hf5, npy, npz and NIfTI, all read as (TRs, voxels), block by block."""

import contextlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from voxscale.dataset.declared import require_inside, require_size
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
    """

    n_trs: int
    n_voxels: int
    n_repeats: int
    held: float


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
    """What a response file is by its first bytes, whatever its ending: nifti, hdf5, npy, npz.

    Raises:
        UserError: none of them.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return "nifti"
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return "npz"
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if h5py.is_hdf5(path) or start == HDF5_MAGIC:  # MATLAB puts a block of its own in front; or cut off
        return "hdf5"
    what = "a whole NumPy" if path.suffix.lower() in (".npy", ".npz") else "an HDF5"
    raise UserError(f"{path}: is not {what} file; save it as {', '.join(RESPONSE_SUFFIXES)} or NIfTI")


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


def load_image(path: str | Path) -> Any:
    """An image of any format of nibabel, whose values are not yet read."""
    import nibabel

    try:
        image = nibabel.load(require(path, "NIfTI"))
        if hasattr(image, "shape"):  # not of surfaces, which are read at once
            require_size(path, image.shape, image.get_data_dtype())
        return image
    except (nibabel.filebasedimages.ImageFileError, OSError) as error:
        raise UserError(
            f"{path}: is not a NIfTI image ({str(error).splitlines()[0]}); get it again"
        ) from None


def _values(path: str | Path, image: Any) -> np.ndarray:
    if image.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path}: holds {image.get_data_dtype()}; save it as real numbers")
    try:
        return np.asanyarray(image.dataobj)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: is cut off ({str(error).splitlines()[0]}); get it again") from None


def _inside(mask: str | Path, image: Any) -> np.ndarray:
    """Where a mask has voxels: bool of its shape (x, y, z); further axes may have the length 1."""
    values = _values(mask, image)
    if not np.isin(values, (0, 1)).all():
        raise UserError(f"{mask}: has values other than 0 and 1; save it as a mask of these two")
    if values.ndim < 3 or max(values.shape[3:], default=1) > 1:
        raise UserError(f"{mask}: has shape {values.shape}; a mask is (x, y, z)")
    return values.reshape(values.shape[:3]) == 1


def mask_voxels(mask: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Where a mask has voxels, bool (x, y, z), in whose order those of responses are; and its affine."""
    image = load_image(mask)
    inside = _inside(mask, image)
    if not inside.any():
        raise UserError(f"{mask}: is empty; give a mask with voxels")
    return inside, image.affine


def _images(paths: Sequence[Path], mask: str | Path) -> tuple[list[Any], np.ndarray]:
    """The runs, and where the mask has voxels; all must lie on one grid."""
    inside, affine = mask_voxels(mask)
    runs = []
    for path in paths:
        image = load_image(path)
        if len(image.shape) != 4:
            raise UserError(f"{path}: has {len(image.shape)} dimensions; a BOLD run has 4")
        if image.shape[:3] != inside.shape or not np.allclose(image.affine, affine, atol=1e-4):
            raise UserError(f"{path}: is not on the grid of the mask {mask}; resample one to the other")
        runs.append(image)
    if len({image.shape[3] for image in runs}) > 1:
        trs = ", ".join(str(image.shape[3]) for image in runs)
        raise UserError(
            f"{paths[0]}: the story's runs have {trs} TRs; repeats need the same TRs, and sections of a "
            "story are declared by config key dataset.bids.sections"
        )
    return runs, inside


def _nifti(paths: Sequence[Path], mask: str | Path) -> StoryResponses:
    images, inside = _images(paths, mask)
    # One run's volumes at a time; of each only the voxels stay: (TRs, voxels).
    runs = [
        _values(path, image)[inside].T.astype(np.float32, order="C")
        for path, image in zip(paths, images, strict=True)
    ]
    if len(runs) == 1:
        return StoryResponses(runs[0])
    return StoryResponses(np.mean(runs, axis=0, dtype=np.float64), np.stack(runs))


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


def _is_scaled(image: Any) -> bool:
    slope, inter = getattr(image.dataobj, "slope", 1), getattr(image.dataobj, "inter", 0)
    return (slope, inter) != (1, 0)


def header_tr_s(path: str | Path) -> float | None:
    """TR of a NIfTI image in seconds by its header; None where it says nothing that can be one.

    0, 1 and 1000 stand in the headers of programs that do not know the TR. Milliseconds are written with
    and without their unit.
    """
    import nibabel

    try:
        header = nibabel.load(path).header
        value, unit = float(header["pixdim"][4]), header.get_xyzt_units()[1]
    except (nibabel.filebasedimages.ImageFileError, OSError, KeyError, ValueError):
        return None
    if value in (0, 1, 1000):
        return None
    value /= 1e6 if unit == "usec" else 1e3 if unit == "msec" or value >= 100 else 1
    return value if 0.05 <= value <= 30 else None


def read_response_header(paths: Sequence[str | Path], mask: str | Path | None = None) -> ResponseHeader:
    """What a story's files hold, from headers and the mask alone; errors as `open_responses`."""
    files = [require(path, "response") for path in paths]
    first = files[0]
    kind = kind_of(first)
    if kind == "nifti" and mask is not None:
        images, inside = _images(files, mask)
        n_trs, n_runs, n_voxels = images[0].shape[3], len(images), int(inside.sum())
        # A run's volumes as stored and, where they are scaled, in float64; the voxels of all runs, their
        # stack and their mean.
        volumes = max(
            float(np.prod(image.shape)) * (image.get_data_dtype().itemsize + 8 * _is_scaled(image))
            for image in images
        )
        voxels = 4.0 * n_trs * n_voxels * (2 * n_runs + 2 if n_runs > 1 else 2)
        return ResponseHeader(n_trs, n_voxels, n_runs if n_runs > 1 else 0, volumes + voxels)
    if kind == "npz":
        _check(first, headers := _npz_headers(first))
        return _header(headers, sum(float(array.nbytes) for array in headers if array is not None))
    with open_responses(files, mask) as responses:
        # What is read of a mapped npy file stays in memory as long as there is room.
        mapped = isinstance(responses.data, np.ndarray)
        return _header(responses, float(first.stat().st_size) if mapped else 0.0)


def _header(responses: StoryResponses, held: float) -> ResponseHeader:
    data, repeats = responses
    return ResponseHeader(*data.shape, 0 if repeats is None else len(repeats), held)


@contextlib.contextmanager
def open_responses(paths: Sequence[str | Path], mask: str | Path | None = None) -> Iterator[StoryResponses]:
    """Open one story of one subject.

    Args:
        paths: one hf5, npy or npz file; or the NIfTI runs of the story, several runs being repeats.
        mask: NIfTI mask that picks the voxels; NIfTI only.

    Yields:
        `.data` (TRs, voxels) and `.repeats` (repeats, TRs, voxels) or None, read where they are sliced.

    Raises:
        UserError: a file is missing, a stub, cut off, of another kind or of another shape.
    """
    files = [require(path, "response") for path in paths]
    first = files[0]
    with contextlib.ExitStack() as stack:
        kind = kind_of(first)
        if kind == "nifti":
            if mask is None:
                raise UserError(f"{first}: needs a mask; set config key dataset.bids.mask")
            responses = _nifti(files, mask)
        elif kind == "hdf5":
            responses = stack.enter_context(_hdf5(first))
        else:
            responses = _numpy(first, kind)
        _check(first, responses)
        yield responses
