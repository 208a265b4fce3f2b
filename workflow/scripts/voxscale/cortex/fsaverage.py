"""The fsaverage5 meshes that nilearn carries; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxscale.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

N_VERTICES = 10242  # of one hemisphere of fsaverage5


def read_fsaverage5(kind: str, hemisphere: str) -> tuple[np.ndarray, ...]:
    """Arrays of one file of fsaverage5.

    Args:
        kind: `pial` or `infl` (inflated): points (vertices, 3) in mm (right, front, up) and faces (faces, 3);
            `sulc`: sulcal depth (vertices,), positive inside sulci.
        hemisphere: `left` or `right`.

    Returns:
        the file's arrays, in float64 or, for faces, int32.
    """
    import nibabel

    # Importing nilearn takes a second; reading its data folder does not.
    folder = Path(find_spec("nilearn").origin).parent / "datasets/data/fsaverage5"
    arrays = [array.data for array in nibabel.load(folder / f"{kind}_{hemisphere}.gii.gz").darrays]
    return tuple(a.astype(np.int32 if a.dtype.kind == "i" else np.float64) for a in arrays)


def side_letters(hemispheres: Iterable[str]) -> pd.Series:
    """`l` or `r` of hemispheres named `left` or `right`, `L`, `R`, `lh`, `rh`."""
    import pandas as pd  # it slows each start of the workflow

    return pd.Series(hemispheres).astype(str).str[:1].str.lower()


def to_vertices(voxels: pd.DataFrame, how: str = "mean") -> dict[str, np.ndarray]:
    """Values of the vertices by the voxels that lie on them, NaN where none does: {hemisphere: (vertices,)}.

    Args:
        voxels: hemisphere (`left` or `right`, `L`, `R`, `lh`, `rh`), vertex of fsaverage5, value (or NaN).
        how: `mean` of the voxels' values, or the `first`, for labels.

    Raises:
        UserError: a vertex fsaverage5 does not have.
    """
    if not voxels.vertex.between(0, N_VERTICES - 1).all():
        raise UserError(
            f"voxel table: a vertex lies outside 0 to {N_VERTICES - 1} of fsaverage5; fix the table"
        )
    side = side_letters(voxels.hemisphere)
    found = {}
    for name in ("left", "right"):
        mine = voxels[side == name[0]].astype({"vertex": int, "value": float})
        found[name] = mine.groupby("vertex").value.agg(how).reindex(range(N_VERTICES)).to_numpy()
    return found
