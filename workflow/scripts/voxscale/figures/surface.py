"""Values on the inflated fsaverage5 cortex, drawn by matplotlib from the meshes that nilearn carries."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import TriMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from voxscale.cortex import N_VERTICES, read_fsaverage5
from voxscale.errors import UserError

VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))


class Mesh(NamedTuple):
    """One inflated hemisphere."""

    points: NDArray[np.float64]  # (vertices, 3) mm: right, front, up
    faces: NDArray[np.int32]  # (faces, 3)
    sulci: NDArray[np.float64]  # (vertices,) sulcal depth, positive inside sulci


@functools.cache
def mesh(hemisphere: str) -> Mesh:
    """The inflated `left` or `right` hemisphere."""
    points, faces = read_fsaverage5("infl", hemisphere)
    return Mesh(points, faces, *read_fsaverage5("sulc", hemisphere))


def to_vertices(
    hemisphere: NDArray[np.object_], vertex: NDArray[np.int64], values: NDArray[np.floating]
) -> dict[str, NDArray[np.float64]]:
    """Mean of the voxels that sit on each vertex, NaN where there is none: {hemisphere: (vertices,)}.

    Args:
        hemisphere: (voxels,) `left` or `right` (or `L`, `R`, `lh`, `rh`).
        vertex: (voxels,) vertex of fsaverage5.
        values: (voxels,), NaN where a voxel has no value.

    Raises:
        UserError: a vertex fsaverage5 does not have.
    """
    side = np.array([str(name)[:1].lower() for name in hemisphere])
    vertex = np.asarray(vertex, int)
    if len(vertex) and not (vertex.min() >= 0 and vertex.max() < N_VERTICES):
        raise UserError(
            f"voxel table: a vertex lies outside 0 to {N_VERTICES - 1} of fsaverage5; fix the table"
        )
    found = {}
    for name in ("left", "right"):
        use = (side == name[0]) & np.isfinite(values)
        total = np.bincount(vertex[use], np.asarray(values, float)[use], N_VERTICES)
        number = np.bincount(vertex[use], minlength=N_VERTICES)
        found[name] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return found


def spread(values: NDArray[np.float64], faces: NDArray[np.int32], steps: int = 1) -> NDArray[np.float64]:
    """Fill empty vertices with the mean of their filled neighbours, `steps` edges far; for display only.

    Args:
        values: (vertices,), NaN where empty.
        faces: (faces, 3).
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    filled = values.copy()
    for _ in range(steps):
        source = np.isfinite(filled[edges[:, 1]])
        total = np.bincount(edges[source, 0], filled[edges[source, 1]], len(filled))
        number = np.bincount(edges[source, 0], minlength=len(filled))
        empty = ~np.isfinite(filled) & (number > 0)
        filled[empty] = total[empty] / number[empty]
    return filled


def _frame(hemisphere: str, view: str) -> NDArray[np.float64]:
    """Rows: screen right, screen up, towards the viewer."""
    side = -1.0 if (hemisphere == "left") == (view == "lateral") else 1.0  # viewer's place on the x axis
    towards = np.array([side, 0.0, 0.0])
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([np.cross(up, towards), up, towards])


class View(NamedTuple):
    """A hemisphere as one viewer sees it."""

    points: NDArray[np.float64]  # (vertices, 3) mm: right, up, near
    faces: NDArray[np.int32]  # (seen faces, 3), far ones first
    facing: NDArray[np.float64]  # (vertices,) 1 where the surface faces the viewer, 0 where it turns away


@functools.cache
def view_mesh(hemisphere: str, view: str) -> View:
    """Turn a hemisphere to its viewer and leave out the faces of its far side."""
    points, faces, _ = mesh(hemisphere)
    seen = points @ _frame(hemisphere, view).T
    corners = seen[faces]  # (faces, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # A closed mesh shows only the faces that look at the viewer; far ones are painted first.
    front = np.flatnonzero(normal[:, 2] > 0)
    front = front[np.argsort(corners[front, :, 2].mean(1))]
    smooth = np.stack(
        [np.bincount(faces.ravel(), np.repeat(normal[:, axis], 3), len(points)) for axis in range(3)], axis=1
    )
    facing = np.clip(smooth[:, 2] / np.linalg.norm(smooth, axis=1), 0, 1)
    return View(seen, faces[front], facing)


def draw_hemisphere(
    axes: Axes,
    values: NDArray[np.float64],
    hemisphere: str,
    view: str,
    cmap: Colormap,
    norm: Normalize,
) -> None:
    """Draw one hemisphere, lit from the viewer, sulci darker; vertices without a value stay grey.

    Args:
        values: (vertices,), NaN where empty.
    """
    seen, faces, facing = view_mesh(hemisphere, view)
    has = np.isfinite(values)
    colour = np.ones((len(values), 4))
    colour[:, :3] = np.where(mesh(hemisphere).sulci > 0, 0.70, 0.84)[:, None]
    colour[has, :3] = cmap(norm(values[has]))[:, :3]
    # Colours that mean a value are shaded less than bare cortex, so that they can be read off the bar.
    colour[:, :3] *= np.where(has, 0.80 + 0.20 * facing, 0.62 + 0.38 * facing**0.7)[:, None]

    painted = TriMesh(Triangulation(seen[:, 0], seen[:, 1], faces), rasterized=True)
    painted.set_facecolor(colour)
    axes.add_collection(painted)
    margin = 2.0
    axes.set_xlim(seen[:, 0].min() - margin, seen[:, 0].max() + margin)
    axes.set_ylim(seen[:, 1].min() - margin, seen[:, 1].max() + margin)
    axes.set_aspect("equal")
    axes.axis("off")
