"""Vertices of fsaverage5 at places of other cortices and images; for display only."""

import numpy as np
from scipy.spatial import cKDTree

from voxscale.cortex.fsaverage import read_fsaverage5

# From coordinates of fsaverage (MNI305) to those of MNI152, mm: FreeSurfer's wiki, page CoordinateSystems.
_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
    ]
)
# ASSUME: farther voxels have no place; cortex is 2 to 4 mm thick, and no brain has exactly fsaverage's folds.
_FARTHEST_MM = 5.0


def registered_vertices(sphere: np.ndarray, hemisphere: str) -> np.ndarray:
    """Vertex of fsaverage5 nearest to each vertex of a cortex that is registered to fsaverage.

    Args:
        sphere: (n, 3) its vertices on the sphere of fsaverage, of any radius.
        hemisphere: `left` or `right`.

    Returns:
        (n,) int.
    """
    target = read_fsaverage5("sphere", hemisphere)[0]
    there, here = (points / np.linalg.norm(points, axis=1, keepdims=True) for points in (target, sphere))
    return cKDTree(there).query(here)[1]


def near_points(points: np.ndarray, cortex: np.ndarray) -> np.ndarray:
    """Index of the nearest point of a cortex (m, 3) to each point (n, 3), mm; -1 where it is far: (n,)."""
    distance_mm, nearest = cKDTree(cortex).query(points)
    return np.where(distance_mm <= _FARTHEST_MM, nearest, -1)


def mni152_cortex(hemisphere: str) -> np.ndarray:
    """(vertices, 3) mm: the middle of fsaverage5's cortex in the space MNI152."""
    middle = (read_fsaverage5("pial", hemisphere)[0] + read_fsaverage5("white", hemisphere)[0]) / 2
    return middle @ _TO_MNI152[:, :3].T + _TO_MNI152[:, 3]
