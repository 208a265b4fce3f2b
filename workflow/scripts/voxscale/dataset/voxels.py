"""Tables of a subject's voxels: which to fit, their regions and their places on the cortex."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset.geometry import Placed
from voxscale.errors import UserError, near_names
from voxscale.io import atomic, read_rows

_COLUMNS = ("voxel", "hemisphere", "vertex", "roi", "keep")
COLUMNS_READ = f"the columns of a voxel table are {', '.join(_COLUMNS)}"
_NONE = ("", "n/a")
_KEEP = {"yes": True, "no": False, None: None}


def read_voxels(path: str | Path | None) -> dict[int, dict[str, Any]]:
    """Read a dataset's voxel table: voxel -> hemisphere, vertex, roi, keep (None where absent).

    Raises:
        UserError: the table is missing, malformed or empty; a voxel is not a number or comes twice.
    """
    if not path:
        return {}
    found: dict[int, dict[str, Any]] = {}
    rows = read_rows(path, ("voxel",))
    for column in unread_columns(rows):
        if near := near_names(column, _COLUMNS):
            raise UserError(f"{path}: has a column {column}; did you mean {near[0]}? Rename the column")
    for number, row in enumerate(rows, 2):
        try:
            voxel = int(row["voxel"])
            vertex = int(row["vertex"]) if row.get("vertex", "") not in _NONE else None
        except ValueError:
            raise UserError(
                f"{path}: line {number} has a voxel or vertex that is not a number; correct it"
            ) from None
        if voxel in found:
            raise UserError(f"{path}: line {number} has voxel {voxel} again; keep one of them")
        if row.get("keep") not in _KEEP:
            raise UserError(f"{path}: line {number}: keep is {row['keep']!r}; write yes or no")
        found[voxel] = {
            "hemisphere": row.get("hemisphere") or None,
            "vertex": vertex,
            "roi": None if row.get("roi", "") in _NONE else row["roi"],
            "keep": _KEEP[row.get("keep")],
        }
    if not found:
        raise UserError(f"{path}: has no line below its header; add a line for each voxel")
    return found


def unread_columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Columns of a voxel table that mean nothing to the workflow."""
    return [column for column in (rows[0] if rows else ()) if column not in _COLUMNS]


def read_regions(path: str | Path | None) -> dict[int, str]:
    """Region of each voxel that has one."""
    return {voxel: row["roi"] for voxel, row in read_voxels(path).items() if row["roi"]}


def read_places(path: str | Path | None, n_voxels: int) -> Placed | None:
    """Where voxels lie on fsaverage5 by a voxel table; None if it does not say so of any.

    Args:
        n_voxels: voxels of the subject's response files.
    """
    vertex, hemisphere = np.full(n_voxels, np.nan), np.full(n_voxels, None)
    for voxel, row in read_voxels(path).items():
        if row["vertex"] is not None and row["hemisphere"] and 0 <= voxel < n_voxels:
            vertex[voxel], hemisphere[voxel] = row["vertex"], row["hemisphere"]
    return Placed("fsaverage5", hemisphere, vertex) if np.isfinite(vertex).any() else None


def homologues(regions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Regions that both sides have: name without its side -> left and right one, `V1_left` and `V1_right`."""
    known = dict.fromkeys(regions)
    both = {name.removesuffix("_left"): name for name in known if name.endswith("_left")}
    return {bare: (left, f"{bare}_right") for bare, left in both.items() if f"{bare}_right" in known}


def kept_voxels(path: str | Path | None, n_voxels: int) -> np.ndarray:
    """Voxels to fit, ascending: those with yes in column `keep` of a voxel table; all without that column.

    Args:
        n_voxels: voxels of the subject's response files, the table may name these and no other.

    Returns:
        (voxels,) int32, columns of the response files.

    Raises:
        UserError: as `read_voxels`; the table names a voxel that does not exist, or keeps none.
    """
    table = read_voxels(path)
    if outside := [voxel for voxel in table if not 0 <= voxel < n_voxels]:
        from_one = max(table) == n_voxels and 0 not in table
        raise UserError(
            f"{path}: names voxel {outside[0]}, but the responses have voxels 0 to {n_voxels - 1}; "
            + ("count from 0" if from_one else "correct it")
        )
    if len(table) > 1 and sorted(table) == list(range(1, len(table) + 1)):
        raise UserError(
            f"{path}: names voxels 1 to {len(table)}, but voxels are counted from 0; count from 0, "
            "or add a line for voxel 0"
        )
    if all(row["keep"] is None for row in table.values()):
        return np.arange(n_voxels, dtype=np.int32)
    kept = sorted(voxel for voxel, row in table.items() if row["keep"])
    if not kept:
        raise UserError(f"{path}: keeps no voxel; write yes in column keep for some")
    return np.array(kept, np.int32)


def write_voxels(path: str | Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a voxel table, as `read_rows` reads it."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
