"""Where ds003020's voxels lie: their regions and places on the cortex, from its own pycortex database.

A voxel is where its nearest vertex of the subject's cortex is. Regions are those drawn in the database's
`overlays.svg`. Places on fsaverage5 are for display only: no registration of these subjects to fsaverage is
published, so the two cortices are aligned by an affine map.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from voxscale.cortex.fsaverage import read_fsaverage5
from voxscale.cortex.pycortex import open_database, read_mask

_SIDES = {"left": "lh", "right": "rh"}
_ROUNDS = 40  # of matching nearest points and fitting an affine map to the pairs
_POINTS = 4000  # of each cortex that the affine map is fitted to


def nearest_vertices(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """For each point of one surface the nearest point of another, after aligning the first with the second.

    Args:
        source: (n, 3) points of a hemisphere, in any unit but with axes that point alike.
        target: (m, 3) points of the same hemisphere of another brain.

    Returns:
        (n,) indexes into `target`.
    """
    moved = (source - source.mean(0)) / source.std(0) * target.std(0) + target.mean(0)
    few = slice(None, None, max(1, len(source) // _POINTS)), slice(None, None, max(1, len(target) // _POINTS))
    design = np.column_stack([source, np.ones(len(source))])
    for _ in range(_ROUNDS):
        # Pairs of both directions: with one alone, the map would shrink the surface into a part of the other.
        there = cKDTree(target).query(moved[few[0]])[1]
        back = cKDTree(moved).query(target[few[1]])[1]
        pairs = np.concatenate([design[few[0]], design[back]])
        wanted = np.concatenate([target[there], target[few[1]]])
        affine = np.linalg.lstsq(pairs, wanted, rcond=None)[0]  # (4, 3)
        moved = design @ affine
    return cKDTree(target).query(moved)[1]


def _regions(cortex: Any, subject: str, n_vertices: int) -> np.ndarray:
    """Region of each vertex, left hemisphere first: (vertices,) of text, "" outside all of them."""
    regions = {str(name): vertices for name, vertices in cortex.get_roi_verts(subject).items()}
    found = np.full(n_vertices, "", dtype=object)
    # A region inside another keeps its name: the smaller one is written last.
    for name in sorted(regions, key=lambda name: (-len(regions[name]), name)):
        found[np.asarray(regions[name], int)] = name
    return found


def locate_voxels(
    database: str | Path, subject: str, transform: str, n_voxels: int
) -> dict[str, np.ndarray | list[str]]:
    """Hemisphere, vertex of fsaverage5 and region of every voxel of a subject.

    Args:
        database: pycortex filestore.
        transform: name of the subject's transform.
        n_voxels: voxels of its response files, which are those of one of the transform's masks.

    Returns:
        columns of a voxel table: `voxel` (voxels,), `hemisphere`, `vertex`, `roi` ("" for none).

    Raises:
        UserError: pycortex is not installed, does not know the subject, or has no mask of so many voxels.
    """
    cortex = open_database(database, subject)
    mask, _ = read_mask(database, subject, transform, n_voxels)
    centres = np.argwhere(mask.T)[:, ::-1]  # x, y, z in the order of the response files
    points = cortex.db.get_xfm(subject, transform, "coord").inv(centres)  # as the surfaces have them, mm
    middle = [cortex.db.get_surf(subject, "fiducial", hemisphere=side)[0] for side in _SIDES.values()]
    nearest = cKDTree(np.concatenate(middle)).query(points)[1]
    places = [
        nearest_vertices(
            cortex.db.get_surf(subject, "pia", hemisphere=short)[0], read_fsaverage5("pial", side)[0]
        )
        for side, short in _SIDES.items()
    ]
    sides = np.repeat(list(_SIDES), [len(part) for part in middle])
    return {
        "voxel": np.arange(n_voxels),
        "hemisphere": sides[nearest],
        "vertex": np.concatenate(places)[nearest],
        "roi": _regions(cortex, subject, len(sides))[nearest],
    }
