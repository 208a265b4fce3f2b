"""Where the phantom's voxels are: patches on fsaverage5, grown along the cortex from anatomical places."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from voxscale.cortex import read_fsaverage5
from voxscale.dataset import PHANTOM_REGIONS
from voxscale.errors import UserError

# Patches in one hemisphere each: area, region, place (x, y, z: mm right, front, up), and share of the voxels.
# ASSUME: places follow the usual MNI coordinates of these areas, shares are chosen freely. Language has more
# voxels on the left; silent voxels lie in areas that a story need not drive.
PATCHES = pd.read_csv(Path(__file__).with_name("patches.tsv"), sep="\t")
# Vertices of a patch per voxel, so that a few voxels cover as much cortex as real areas do.
_THINNING = 2.5
_ROIS = dict(zip(("auditory", "mixed", "language", "silent"), PHANTOM_REGIONS, strict=True))


class PlacedVoxels(NamedTuple):
    """The voxels of a subject, one entry each: text columns and (voxels,) int vertices."""

    hemisphere: np.ndarray
    vertex: np.ndarray
    area: np.ndarray
    region: np.ndarray

    @property
    def roi(self) -> np.ndarray:
        return np.array([_ROIS[region] for region in self.region])


def read_mesh(hemisphere: str) -> tuple[np.ndarray, csr_array]:
    """The pial fsaverage5 mesh: points (vertices, 3) mm and the graph of its edges, by their lengths."""
    points, faces = read_fsaverage5("pial", hemisphere)
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]])), axis=0)
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    return points, csr_array((length, edges.T), shape=(len(points),) * 2)


def place_voxels(n_voxels: int, rng: np.random.Generator) -> PlacedVoxels:
    """Place a subject's voxels: each patch covers the free vertices nearest to its place along the cortex.

    Places vary by a few mm and sizes by a tenth between subjects.

    Args:
        n_voxels: at least as many as there are patches.

    Raises:
        UserError: more voxels than there is room for.
    """
    share = PATCHES.share.to_numpy() * rng.uniform(0.9, 1.1, len(PATCHES))
    size = np.maximum(1, np.floor(n_voxels * share / share.sum())).astype(int)
    while (rest := n_voxels - size.sum()) != 0:
        size[np.argmax(size)] += np.sign(rest)
    meshes = {side: read_mesh(side) for side in ("left", "right")}
    free = {side: np.ones(len(points), bool) for side, (points, _) in meshes.items()}
    taken = []
    for patch, n in zip(PATCHES.itertuples(), size, strict=True):
        points, graph = meshes[patch.hemisphere]
        centre = np.array([patch.x, patch.y, patch.z]) + rng.normal(0, 2.5, 3)
        seed = int(np.argmin(np.linalg.norm(points - centre, axis=1)))
        far = dijkstra(graph, directed=False, indices=seed)
        far[~free[patch.hemisphere]] = np.inf
        covered = round(n * _THINNING)
        if covered > np.isfinite(far).sum():
            raise UserError(f"config key phantom.voxels: {n_voxels} do not fit on fsaverage5; use fewer")
        nearest = np.argsort(far, kind="stable")[:covered]
        free[patch.hemisphere][nearest] = False
        vertex = np.sort(rng.choice(nearest, n, replace=False))
        taken.append((np.full(n, patch.hemisphere), vertex, np.full(n, patch.area), np.full(n, patch.region)))
    return PlacedVoxels(*(np.concatenate(column) for column in zip(*taken, strict=True)))
