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


# What h5py raises where bytes are wrong: in the data, in the list of what is there, in a header.
DAMAGE = (OSError, KeyError, RuntimeError, ValueError)


def remake(path: str | Path, delete: str = "it") -> str:
    """What to do about damage to what fits read: made in one run with all else, it would renew every fit.

    Args:
        path: what the workflow makes.
        delete: what must go for it.
    """
    alone = f"run snakemake {path} with the options of this run"
    return f"delete {delete}, {alone}, then run again: finished fits stay"


@contextlib.contextmanager
def reading(path: str | Path, remedy: str) -> Iterator[None]:
    """Tell a read that fails as a mistake of the file.

    Raises:
        UserError: the file is cut off or its bytes have changed since it was written; what to do follows.
    """
    try:
        yield
    except DAMAGE as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged ({detail}); {remedy}") from None
