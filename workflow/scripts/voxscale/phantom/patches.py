"""Where the phantom's voxels are: patches on fsaverage5, grown along the cortex from anatomical places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voxscale.cortex import read_fsaverage5
from voxscale.errors import UserError


class Patch(NamedTuple):
    """A patch in one hemisphere: area, region, place (mm right, front, up), and share of the voxels."""

    area: str
    region: str
    hemisphere: str
    place: tuple[float, float, float]
    share: float


# ASSUME: places follow the usual MNI coordinates of these areas, shares are chosen freely. Language has more
# voxels on the left; silent voxels lie in areas that a story need not drive.
PATCHES = (
    Patch("superior temporal plane", "auditory", "left", (-47, -22, 8), 0.075),
    Patch("superior temporal plane", "auditory", "right", (49, -19, 8), 0.075),
    Patch("superior temporal sulcus", "mixed", "left", (-61, -24, 0), 0.045),
    Patch("superior temporal sulcus", "mixed", "right", (61, -22, -1), 0.045),
    Patch("lateral temporal", "language", "left", (-61, -42, -3), 0.085),
    Patch("anterior temporal", "language", "left", (-57, -4, -18), 0.04),
    Patch("inferior frontal", "language", "left", (-50, 22, 12), 0.065),
    Patch("angular gyrus", "language", "left", (-46, -64, 30), 0.055),
    Patch("precuneus", "language", "left", (-6, -60, 38), 0.045),
    Patch("lateral temporal", "language", "right", (60, -38, -4), 0.05),
    Patch("inferior frontal", "language", "right", (51, 24, 12), 0.025),
    Patch("angular gyrus", "language", "right", (50, -58, 30), 0.03),
    Patch("precuneus", "language", "right", (6, -60, 38), 0.045),
    Patch("visual", "silent", "left", (-16, -94, 2), 0.05),
    Patch("visual", "silent", "right", (16, -94, 2), 0.05),
    Patch("sensorimotor", "silent", "left", (-36, -24, 60), 0.06),
    Patch("sensorimotor", "silent", "right", (36, -24, 60), 0.06),
    Patch("prefrontal", "silent", "left", (-36, 38, 28), 0.05),
    Patch("prefrontal", "silent", "right", (36, 38, 28), 0.05),
)
# Vertices of a patch per voxel, so that a few voxels cover as much cortex as real areas do.
_THINNING = 2.5
_ROIS = {"auditory": "auditory", "mixed": "sts", "language": "language", "silent": "other"}


class PlacedVoxels(NamedTuple):
    """The voxels of a subject, one entry each: text columns and (voxels,) int vertices."""

    hemisphere: np.ndarray
    vertex: np.ndarray
    area: np.ndarray
    region: np.ndarray

    @property
    def roi(self) -> np.ndarray:
        return np.array([_ROIS[region] for region in self.region])


class _Mesh(NamedTuple):
    """One hemisphere: points (vertices, 3) mm and the graph of its edges with their lengths in mm."""

    points: np.ndarray
    graph: object


def read_meshes() -> dict[str, _Mesh]:
    """The pial fsaverage5 meshes that nilearn carries; nothing is downloaded."""
    from scipy.sparse import coo_array

    found = {}
    for hemisphere in ("left", "right"):
        points, faces = read_fsaverage5("pial", hemisphere)
        edges = np.unique(
            np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]])), axis=0
        )
        length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
        graph = coo_array((length, (edges[:, 0], edges[:, 1])), shape=(len(points), len(points))).tocsr()
        found[hemisphere] = _Mesh(points, graph)
    return found


def place_voxels(n_voxels: int, rng: np.random.Generator, meshes: dict[str, _Mesh]) -> PlacedVoxels:
    """Place a subject's voxels: each patch covers the free vertices nearest to its place along the cortex.

    Places vary by a few mm and sizes by a tenth between subjects.

    Raises:
        UserError: fewer voxels than patches.
    """
    from scipy.sparse.csgraph import dijkstra

    if n_voxels < len(PATCHES):
        raise UserError(f"config key phantom.voxels: {n_voxels} is too few; use {len(PATCHES)} or more")
    share = np.array([patch.share for patch in PATCHES]) * rng.uniform(0.9, 1.1, len(PATCHES))
    size = np.maximum(1, np.floor(n_voxels * share / share.sum())).astype(int)
    while (rest := n_voxels - size.sum()) != 0:
        size[np.argmax(size)] += np.sign(rest)
    free = {side: np.ones(len(mesh.points), bool) for side, mesh in meshes.items()}
    taken = []
    for patch, n in zip(PATCHES, size, strict=True):
        mesh = meshes[patch.hemisphere]
        centre = np.asarray(patch.place) + rng.normal(0, 2.5, 3)
        seed = int(np.argmin(np.linalg.norm(mesh.points - centre, axis=1)))
        far = dijkstra(mesh.graph, directed=False, indices=seed)
        far[~free[patch.hemisphere]] = np.inf
        covered = round(n * _THINNING)
        if covered > np.isfinite(far).sum():
            raise UserError(f"config key phantom.voxels: {n_voxels} do not fit on fsaverage5; use fewer")
        nearest = np.argsort(far, kind="stable")[:covered]
        free[patch.hemisphere][nearest] = False
        vertex = np.sort(rng.choice(nearest, n, replace=False))
        taken.append((np.full(n, patch.hemisphere), vertex, np.full(n, patch.area), np.full(n, patch.region)))
    return PlacedVoxels(*(np.concatenate(column) for column in zip(*taken, strict=True)))
