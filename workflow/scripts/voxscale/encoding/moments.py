"""The file of a cell's moments, from which its scores in any part of the test stories are computed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.errors import UserError
from voxscale.io import atomic, checked, reading
from voxscale.statistics import TimeBlocks


class MomentsFile:
    """Sums over blocks of test TRs of one cell, see `voxscale.statistics.block_sums`.

    Attributes:
        blocks: the test blocks.
        voxels: (voxels,) columns of the dataset's response files.
        n_draws, n_voxels: of what `read` gives.

    Args:
        voxels: (voxels,) that the file must have; of `source`, a table or file.

    Raises:
        UserError: the file is missing, damaged or not a file of moments, or has other voxels.
    """

    def __init__(self, path: str | Path, voxels: np.ndarray | None = None, source: str | Path = "") -> None:
        self.path = Path(path)
        try:
            with h5py.File(self.path, "r") as file:
                self.n_draws, _, _, self.n_voxels = file["moments"].shape
                self.voxels = file["voxel"][:]
                self.blocks = TimeBlocks(file["n"][:], file["story"].asstr()[:], file["start_tr"][:])
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; fit the cell again") from None
        except (OSError, KeyError, ValueError, TypeError) as error:
            detail = str(error).splitlines()[0]
            raise UserError(
                f"{path}: not a file of a cell's moments ({detail}); delete it and run again"
            ) from None
        if voxels is not None and not np.array_equal(self.voxels, voxels):
            raise UserError(f"{path}: has other voxels than {source}; fit the cell again")

    def read(self, draw: int, kept: np.ndarray, step: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
        """Kept blocks of one draw: (voxel slice, (blocks, 5, v) float64), some thousand voxels at a time."""
        with reading(self.path, "delete it and run again"), h5py.File(self.path, "r") as file:
            for start in range(0, self.n_voxels, step):
                part = slice(start, min(start + step, self.n_voxels))
                yield part, file["moments"][draw, :, :, part][kept].astype(np.float64)


def write_moments(
    path: str | Path,
    draws: Iterable[np.ndarray],
    n_draws: int,
    blocks: TimeBlocks,
    voxels: np.ndarray,
    provenance: Mapping[str, Any],
) -> None:
    """Write a cell's moments, (blocks, 5, voxels) of each draw, as `MomentsFile` reads them."""
    shape = n_draws, len(blocks.n), 5, len(voxels)
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        moments = file.create_dataset("moments", **checked(shape, (1, len(blocks.n), 5, 4096)))
        for i, values in enumerate(draws):
            moments[i] = values
        file["n"], file["start_tr"], file["voxel"] = blocks.n, blocks.start_tr, voxels
        file.create_dataset("story", data=blocks.story.tolist(), dtype=h5py.string_dtype())
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
