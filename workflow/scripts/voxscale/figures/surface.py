"""Values on the inflated fsaverage5 cortex, drawn by matplotlib from the meshes that nilearn carries."""

import functools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import TriMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.tri import Triangulation

from voxscale.cortex import read_fsaverage5

VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))


@functools.cache
def mesh(hemisphere: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inflated `left` or `right` hemisphere: points (vertices, 3), faces (faces, 3) and sulcal depth."""
    return *read_fsaverage5("infl", hemisphere), *read_fsaverage5("sulc", hemisphere)


def spread(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Fill empty vertices with the mean of their filled neighbours; for display only.

    Args:
        values: (vertices,), NaN where empty.
        faces: (faces, 3).
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    to, source = edges[np.isfinite(values[edges[:, 1]])].T
    number = np.bincount(to, minlength=len(values))
    mean = np.bincount(to, values[source], len(values)) / np.maximum(number, 1)
    return np.where(np.isnan(values) & (number > 0), mean, values)


@functools.cache
def view_mesh(hemisphere: str, view: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn a hemisphere to its viewer and leave out the faces of its far side.

    Returns:
        points (vertices, 3) mm: right, up, near; faces (seen faces, 3), far ones first; facing (vertices,), 1
        where the surface faces the viewer, 0 where it turns away.
    """
    points, faces, _ = mesh(hemisphere)
    side = -1.0 if (hemisphere == "left") == (view == "lateral") else 1.0  # viewer's place on the x axis
    seen = points @ np.array([[0, side, 0], [0, 0, 1], [side, 0, 0]]).T  # screen right, up, to the viewer
    corners = seen[faces]  # (faces, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # A closed mesh shows only the faces that look at the viewer; far ones are painted first.
    front = np.flatnonzero(normal[:, 2] > 0)
    front = front[np.argsort(corners[front, :, 2].mean(1))]
    smooth = np.stack(
        [np.bincount(faces.ravel(), np.repeat(normal[:, axis], 3), len(points)) for axis in range(3)], axis=1
    )
    facing = np.clip(smooth[:, 2] / np.linalg.norm(smooth, axis=1), 0, 1)
    return seen, faces[front], facing


def draw_hemisphere(
    axes: Axes, values: np.ndarray, hemisphere: str, view: str, cmap: Colormap, norm: Normalize
) -> None:
    """Draw one hemisphere, lit from the viewer, sulci darker; vertices without a value stay grey.

    Args:
        values: (vertices,), NaN where empty.
    """
    seen, faces, facing = view_mesh(hemisphere, view)
    has = np.isfinite(values)
    colour = np.ones((len(values), 4))
    colour[:, :3] = np.where(mesh(hemisphere)[2] > 0, 0.70, 0.84)[:, None]
    colour[has, :3] = cmap(norm(values[has]))[:, :3]
    # Colours that mean a value are shaded less than bare cortex, so that they can be read off the bar.
    colour[:, :3] *= np.where(has, 0.80 + 0.20 * facing, 0.62 + 0.38 * facing**0.7)[:, None]

    painted = TriMesh(Triangulation(seen[:, 0], seen[:, 1], faces), rasterized=True)
    painted.set_facecolor(colour)
    axes.add_collection(painted)
    (left, low, _), (right, high, _) = seen.min(0) - 2, seen.max(0) + 2
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.axis("off")
