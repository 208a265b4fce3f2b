"""The file of a cell's moments, from which its scores in any part of the test stories are computed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import add_array, checked, new_hdf5, open_hdf5, set_attributes
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
        with open_hdf5(self.path) as file:
            self.n_draws, _, _, self.n_voxels = file["moments"].shape
            self.voxels = file["voxel"][:]
            crossed = bool(file.attrs.get("crossed", False))
            self.blocks = TimeBlocks(file["n"][:], file["story"].asstr()[:], file["start_tr"][:], crossed)
        if voxels is not None and not np.array_equal(self.voxels, voxels):
            raise UserError(f"{path}: has other voxels than {source}; fit the cell again")

    def read(self, draw: int, kept: np.ndarray, step: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
        """Kept blocks of one draw: (voxel slice, (blocks, 5, v) float64), some thousand voxels at a time."""
        with open_hdf5(self.path) as file:
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
    with new_hdf5(path) as file:
        moments = file.create_dataset("moments", **checked(shape, (1, len(blocks.n), 5, 4096)))
        for i, values in enumerate(draws):
            moments[i] = values
        small = {"n": blocks.n, "start_tr": blocks.start_tr, "story": blocks.story.tolist(), "voxel": voxels}
        for name, values in small.items():
            add_array(file, name, values)
        set_attributes(file, {"provenance": json.dumps(provenance, sort_keys=True)})
        if blocks.crossed:
            set_attributes(file, {"crossed": True})
