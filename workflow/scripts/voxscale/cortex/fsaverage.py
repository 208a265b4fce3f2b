"""The fsaverage5 meshes that nilearn carries; nothing is downloaded."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

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
