"""What a response file declares, checked against its size and folder before anything is read."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.errors import UserError

RATIO = 1100  # bytes of values in one byte on the disk: of zeros, deflate packs at most 1032 into one
_DEEPEST = 8  # virtual datasets of virtual datasets: deeper ones are mapped from each other


def require_size(path: str | Path, shape: Sequence[int], dtype: Any) -> None:
    """Refuse an array that cannot be in its file.

    Raises:
        UserError: it would be more than `RATIO` times as large as the file.
    """
    declared, stored = math.prod(map(int, shape)) * np.dtype(dtype).itemsize, Path(path).stat().st_size
    if declared > RATIO * stored:
        raise UserError(
            f"{path}: declares {declared / 1e9:,.2f} GB of values, but the file has {stored:,} bytes; "
            "get it again"
        )


def require_inside(path: Path, item: h5py.Dataset, depth: int = _DEEPEST) -> None:
    """Refuse an HDF5 dataset whose values do not all lie in `path` or in files of its folder, or below.

    HDF5 itself reads zeros where a source is missing or too short.

    Raises:
        UserError: it is linked, stored or mapped elsewhere, or a source is missing or too short.
    """
    _require_in_folder(path, item.file.filename)
    for name, offset, size in item.external or ():
        source = _require_in_folder(path, name, Path.cwd())  # from where HDF5 looks for raw files
        if not source.is_file() or source.stat().st_size < offset + min(size, item.nbytes):
            raise _lost(path, name)
    for source in item.virtual_sources() if item.is_virtual else ():
        if "%b" in source.file_name + source.dset_name:
            continue  # a pattern of names: such a dataset ends where its sources do
        name = item.file.filename if source.file_name == "." else source.file_name
        if not h5py.is_hdf5(where := _require_in_folder(path, name)):
            raise _lost(path, name)
        try:
            with h5py.File(where, "r") as file:
                found = file.get(source.dset_name)
                if not isinstance(found, h5py.Dataset) or not found.shape or not _holds(found, source):
                    raise _lost(path, f"dataset {source.dset_name} of {name}")
                if not depth:
                    raise _lost(path, name)
                require_inside(path, found, depth - 1)
        except OSError:  # cut off
            raise _lost(path, name) from None


def _holds(found: h5py.Dataset, source: Any) -> bool:
    """Whether a dataset has all values that a virtual one takes from it."""
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        return found.size >= source.vspace.get_select_npoints()
    return bool(np.all(np.array(found.shape) > source.src_space.get_select_bounds()[1]))


def _require_in_folder(path: Path, name: str, start: Path | None = None) -> Path:
    folder = path.absolute().parent
    found = (start or folder) / name
    if not (found.absolute() == path.absolute() or found.resolve().is_relative_to(folder.resolve())):
        raise UserError(
            f"{path}: its values are in {name}, outside of its folder; copy them into the file itself"
        )
    return found


def _lost(path: Path, source: str) -> UserError:
    return UserError(
        f"{path}: its values are in {source}, which is missing, damaged or too short; get it again"
    )
