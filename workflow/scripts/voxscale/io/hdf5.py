"""HDF5 files whose damage is noticed: each chunk carries a checksum, which HDF5 verifies as it reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from voxscale.errors import UserError


def checked(shape: Sequence[int], chunk: Sequence[int], dtype: str = "float32") -> dict[str, Any]:
    """Options of `create_dataset` for an array that is read some `chunk` at a time; no length may be 0."""
    chunks = tuple(map(min, shape, chunk))
    return {"shape": tuple(shape), "dtype": dtype, "chunks": chunks, "fletcher32": True}


# What h5py raises if bytes are wrong: in the data, in the list of contents, in a header.
DAMAGE = (OSError, KeyError, RuntimeError, ValueError)


def remake(path: str | Path, delete: str = "it") -> str:
    """What to do about a damaged file that fits read: if it were made together with all else, every fit would
    be made again.

    Args:
        path: the file that the workflow makes.
        delete: what must be deleted first.
    """
    alone = f"run snakemake {path} with the options of this run"
    return f"delete {delete}, {alone}, then run again: finished fits stay"


@contextlib.contextmanager
def reading(path: str | Path, remedy: str) -> Iterator[None]:
    """Report a failed read as a damaged file.

    Raises:
        UserError: the file is truncated or its bytes have changed since it was written.
    """
    try:
        yield
    except DAMAGE as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged ({detail}); {remedy}") from None
