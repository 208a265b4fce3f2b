"""What a response file declares, checked against its size and folder before anything is allocated or read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.errors import UserError

RATIO = 100  # bytes of responses in one byte on the disk: compressed ones have 1 to 10
MASK_RATIO = 1100  # of a mask, nearly all zeros: deflate packs at most 1032 into one


def require_size(path: str | Path, shape: Sequence[int], dtype: Any, ratio: float = RATIO) -> None:
    """Refuse an array that cannot be in its file.

    Raises:
        UserError: it would be more than `ratio` times as large as the file.
    """
    declared, stored = math.prod(map(int, shape)) * np.dtype(dtype).itemsize, Path(path).stat().st_size
    if declared > ratio * stored:
        raise UserError(
            f"{path}: declares {declared / 1e9:,.1f} GB of values, but takes {stored / 1e9:.3g}; get it again"
        )


def require_inside(path: Path, item: h5py.Dataset) -> None:
    """Refuse an HDF5 dataset whose values lie in a file that is not in the folder of `path`, or below.

    Raises:
        UserError: it is linked, stored or mapped elsewhere.
    """
    sources = [item.file.filename, *(name for name, *_ in item.external or ())]
    if item.is_virtual:
        sources += [source.file_name for source in item.virtual_sources() if source.file_name != "."]
    folder = path.absolute().parent
    for source in sources:
        found = folder / source
        if not (found.absolute() == path.absolute() or found.resolve().is_relative_to(folder.resolve())):
            raise UserError(
                f"{path}: its values are in {source}, outside of its folder; copy them into the file itself"
            )
