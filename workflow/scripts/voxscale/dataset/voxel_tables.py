"""Tables of a subject's voxels: which to fit, their regions and their places on the cortex."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import read_rows

NONE = ("", "n/a")
KEEP = {"yes": True, "no": False, None: None}


def read_voxels(path: str | Path | None) -> dict[int, dict[str, Any]]:
    """Read a dataset's voxel table: voxel -> hemisphere, vertex, roi, keep (None where absent).

    Raises:
        UserError: the table is missing, malformed or empty; a voxel is not a number or comes twice.
    """
    if not path:
        return {}
    found: dict[int, dict[str, Any]] = {}
    for number, row in enumerate(read_rows(path, ("voxel",)), 2):
        try:
            voxel = int(row["voxel"])
            vertex = int(row["vertex"]) if row.get("vertex", "") not in NONE else None
        except ValueError:
            raise UserError(
                f"{path}: line {number} has a voxel or vertex that is no number; mend it"
            ) from None
        if voxel in found:
            raise UserError(f"{path}: line {number} has voxel {voxel} again; keep one of them")
        if row.get("keep") not in KEEP:
            raise UserError(f"{path}: line {number}: keep is {row['keep']!r}; write yes or no")
        found[voxel] = {
            "hemisphere": row.get("hemisphere") or None,
            "vertex": vertex,
            "roi": None if row.get("roi", "") in NONE else row["roi"],
            "keep": KEEP[row.get("keep")],
        }
    if not found:
        raise UserError(f"{path}: has no line below its header; give a line a voxel")
    return found


def read_regions(path: str | Path | None) -> dict[int, str]:
    """Region of each voxel that has one."""
    return {voxel: row["roi"] for voxel, row in read_voxels(path).items() if row["roi"]}


def kept_voxels(path: str | Path | None, n_voxels: int) -> np.ndarray:
    """Voxels to fit, ascending: those that column `keep` of a voxel table says, or all without that column.

    Args:
        n_voxels: voxels of the subject's response files, all of which the table may name and no other.

    Returns:
        (voxels,) int32, columns of the response files.

    Raises:
        UserError: as `read_voxels`; the table names a voxel that is not there, or keeps none.
    """
    table = read_voxels(path)
    if outside := [voxel for voxel in table if not 0 <= voxel < n_voxels]:
        from_one = max(table) == n_voxels and 0 not in table
        raise UserError(
            f"{path}: names voxel {outside[0]}, but the responses have voxels 0 to {n_voxels - 1}; "
            + ("count from 0" if from_one else "correct it")
        )
    if all(row["keep"] is None for row in table.values()):
        return np.arange(n_voxels, dtype=np.int32)
    kept = sorted(voxel for voxel, row in table.items() if row["keep"])
    if not kept:
        raise UserError(f"{path}: keeps no voxel; write yes in column keep for some")
    return np.array(kept, np.int32)
