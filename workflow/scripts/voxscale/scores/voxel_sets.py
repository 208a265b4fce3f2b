"""Sets of voxels that scores are averaged over: all, reliable, significant, regions, tenths by ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from voxscale.errors import UserError
from voxscale.io import tables


def deciles(ccmax: np.ndarray, reliable: np.ndarray) -> np.ndarray:
    """Tenth (1 to 10) of the reliable voxels by their ceiling; 0 elsewhere."""
    found = np.zeros(len(ccmax), int)
    inside = np.flatnonzero(reliable & np.isfinite(ccmax))
    order = inside[np.argsort(ccmax[inside], kind="stable")]
    found[order] = np.arange(len(order)) * 10 // max(len(order), 1) + 1
    return found


def voxel_sets(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every set of one subject's voxels: name -> (voxels,) bool.

    Args:
        columns: reliable, significant (bool), decile (int, 0: none), roi (str, "": none).
    """
    sets = {
        "all": np.ones(len(columns["reliable"]), bool),
        "reliable": columns["reliable"],
        "significant": columns["significant"],
    }
    regions = sorted(set(columns["roi"]) - {""})
    sets |= {f"roi:{region}": columns["roi"] == region for region in regions}
    if columns["decile"].any():
        sets |= {f"decile:{tenth}": columns["decile"] == tenth for tenth in range(1, 11)}
    return sets


def read_sets(path: str | Path) -> dict[str, tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]]:
    """Sets of all subjects from table `voxels`: subject -> (voxel ids, sets, ccmax).

    A ccmax that is undefined is 0 where a voxel varies over repeats, NaN where it does not.
    """
    table = tables.read("voxels", path)
    found = {}
    for subject in pc.unique(table["subject"]).to_pylist():
        part = table.filter(pc.equal(table["subject"], subject))
        columns = {
            "reliable": part["reliable"].to_numpy(),
            "significant": part["significant"].to_numpy(),
            "decile": pc.fill_null(part["decile"], 0).to_numpy(),
            "roi": np.array(pc.fill_null(part["roi"], "").to_pylist()),
        }
        varies = np.isfinite(part["explainable"].to_numpy())
        ccmax = np.where(varies, np.nan_to_num(part["ccmax"].to_numpy()), np.nan)
        found[subject] = part["voxel"].to_numpy(), voxel_sets(columns), ccmax
    return found


def choose_sets(
    sets: Mapping[str, np.ndarray], wanted: list[str], where: str, subject: str
) -> dict[str, np.ndarray]:
    """The sets that a config names; `rois` and `deciles` stand for all of their kind.

    Raises:
        UserError: the subject has no such set.
    """
    chosen = {}
    for name in wanted:
        prefix = {"rois": "roi:", "deciles": "decile:"}.get(name)
        matching = [key for key in sets if (key.startswith(prefix) if prefix else key == name)]
        if not matching and not prefix:
            known = ", ".join(key for key in sets if not key.startswith("decile:"))
            raise UserError(f"{where}: {subject} has no voxel set {name}; known are {known}, rois, deciles")
        chosen |= {key: sets[key] for key in matching}
    return chosen
