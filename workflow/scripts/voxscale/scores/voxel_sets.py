"""Sets of voxels that scores are averaged over: all, reliable, significant, regions, tenths by ceiling."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxscale.errors import UserError
from voxscale.io import tables

_GROUPS = {"rois": "roi:", "deciles": "decile:"}  # a name in the config -> how the names of its sets begin


@dataclass(frozen=True)
class VoxelSets:
    """One subject's voxels and the sets they are in.

    Args:
        subject: its name.
        voxels: (voxels,) columns of the dataset's response files.
        members: name of a set -> (voxels,) bool.
        scored: (voxels,) bool: every cell and draw that was gathered scores the voxel. Means are over these,
            so that all cells are compared on the same voxels.
        ccmax: (voxels,) noise ceiling; where it is undefined, 0 if a voxel varies over repeats, else NaN.
    """

    subject: str
    voxels: np.ndarray
    members: dict[str, np.ndarray]
    scored: np.ndarray
    ccmax: np.ndarray

    def choose(self, wanted: Sequence[str], where: str) -> dict[str, np.ndarray]:
        """Scored voxels of the sets of these names; `rois` and `deciles` mean all of their kind.

        Args:
            where: the config key that names them.

        Raises:
            UserError: the subject has no such set.
        """
        chosen = {}
        for name in wanted:
            matching = [key for key in self.members if is_wanted(key, [name])]
            if not matching and name not in _GROUPS:
                known = ", ".join([key for key in self.members if not key.startswith("decile:")] + [*_GROUPS])
                raise UserError(f"{where}: {self.subject} has no voxel set {name}; use one of {known}")
            chosen |= {key: self.members[key] & self.scored for key in matching}
        return chosen

    def left_out(self, name: str) -> int:
        """Number of voxels of a set that some cell or draw does not score."""
        return int((self.members[name] & ~self.scored).sum())


def is_wanted(name: str, wanted: Sequence[str]) -> bool:
    """Whether a set is among those wanted, by its name or as one of a kind."""
    return name in wanted or any(kind in wanted and name.startswith(start) for kind, start in _GROUPS.items())


def deciles(ccmax: np.ndarray, reliable: np.ndarray) -> np.ndarray:
    """Tenth (1 to 10) of the reliable voxels by their ceiling; 0 elsewhere."""
    found = np.zeros(len(ccmax), int)
    inside = np.flatnonzero(reliable & np.isfinite(ccmax))
    order = inside[np.argsort(ccmax[inside], kind="stable")]
    found[order] = np.arange(len(order)) * 10 // max(len(order), 1) + 1
    return found


def sets_of(table: pa.Table) -> VoxelSets:
    """The sets of one subject's rows of table `voxels`."""
    members = {"all": np.ones(table.num_rows, bool)}
    members |= {name: table[name].to_numpy() for name in ("reliable", "significant")}
    roi = np.array(pc.fill_null(table["roi"], "").to_pylist(), str)
    members |= {f"roi:{name}": roi == name for name in sorted(set(roi.tolist()) - {""})}
    tenth = pc.fill_null(table["decile"], 0).to_numpy()
    if tenth.any():
        members |= {f"decile:{i}": tenth == i for i in range(1, 11)}
    varies = np.isfinite(table["explainable"].to_numpy())
    ccmax = np.where(varies, np.nan_to_num(table["ccmax"].to_numpy()), np.nan)
    scored = table["scored"].to_numpy()
    return VoxelSets(table["subject"][0].as_py(), table["voxel"].to_numpy(), members, scored, ccmax)


def read_sets(path: str | Path) -> dict[str, VoxelSets]:
    """Sets of all subjects in table `voxels`, by subject."""
    table = tables.read("voxels", path)
    subjects = pc.unique(table["subject"]).to_pylist()
    return {subject: sets_of(table.filter(pc.equal(table["subject"], subject))) for subject in subjects}
