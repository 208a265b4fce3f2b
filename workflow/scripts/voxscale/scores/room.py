"""How close each voxel's score is to its noise ceiling, and how much room is left.

The ceiling is that of the stories repeated most, so it is compared with the score on the same stories.
"""

from pathlib import Path

import pandas as pd

from voxscale.io import tables
from voxscale.provenance import collect


def room_rows(scores: pd.DataFrame, voxels: pd.DataFrame) -> pd.DataFrame:
    """Table `room`: one row per model, subject and voxel; NaN where the ceiling is unreliable.

    Args:
        scores: table `scores` of the cells to look at; their first draws are taken.
        voxels: table `voxels` of the same subjects.
    """
    found = scores.loc[scores.draw == 0, ["model", "layer", "subject", "voxel", "r", "r_ceiling", "cv_r"]]
    found = found.merge(voxels[["subject", "voxel", "ccmax", "reliable"]], on=["subject", "voxel"])
    ccmax = found.ccmax.where(found.reliable)
    ranked = found.dropna(subset="cv_r").sort_values("cv_r", ascending=False, kind="stable")
    best = ranked.drop_duplicates(["subject", "voxel"]).index
    found = found.assign(
        ccmax=ccmax,
        ccnorm=found.r_ceiling / ccmax.where(ccmax > 0),
        room=ccmax - found.r_ceiling,
        chosen=found.index.isin(best),
    )
    return found[tables.SCHEMAS["room"].names]


def write_room(scores: str | Path, voxels: str | Path, output: str | Path) -> None:
    """Write table `room` from tables `scores` and `voxels`."""
    columns = ["model", "layer", "subject", "voxel", "draw", "r", "r_ceiling", "cv_r"]
    read = tables.read("scores", scores, columns).to_pandas()
    rows = room_rows(read, tables.read("voxels", voxels).to_pandas())
    tables.write("room", {name: rows[name].to_numpy() for name in rows}, output, collect())
