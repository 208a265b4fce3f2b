"""Where on fsaverage5 the columns of a subject's responses lie, for maps.

surfaces fsaverage*    the vertex itself; of fsaverage6 and fsaverage those that fsaverage5 has as well
other surfaces         by the subject's sphere that is registered to fsaverage
grayordinates fsLR     by the subject's fsLR and native surfaces, then as for other surfaces
volumes T1w            the nearest vertex of the native surface, then as for other surfaces
volumes MNI152*        the nearest vertex of fsaverage5 itself
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.cortex import N_VERTICES
from voxscale.dataset.bids import entities_of
from voxscale.dataset.geometry import HEMISPHERES, Geometry, Volume
from voxscale.dataset.images import GRAYORDINATES, VOLUMES, Reading, load_image
from voxscale.dataset.response_files import read_response_header
from voxscale.dataset.responses import open_subject
from voxscale.dataset.voxels import write_voxels
from voxscale.errors import UserError

Surfaces = Mapping[str, tuple[str, Mapping[str, str]]]  # name -> end of the file's name, and its entities
_NATIVE: Surfaces = {
    "native": ("midthickness", {}),
    "sphere": ("sphere", {"space": "fsaverage", "desc": "reg"}),
}
_VERTICES = {"91k": "32k", "170k": "59k"}  # grayordinates -> vertices of a hemisphere of fsLR


def needed_surfaces(image: Path, space: str) -> Surfaces | None:
    """fMRIPrep's surfaces of a subject that tell where an image lies on fsaverage5; None if nothing does."""
    if image.name.endswith(VOLUMES) and not image.name.endswith(GRAYORDINATES):
        return {} if space.startswith("MNI152") else _NATIVE if space == "T1w" else None
    if space == "fsLR":
        density = entities_of(image).get("den", "32k")
        own = {"space": "fsLR", "den": _VERTICES.get(density, density)}
        return {**_NATIVE, "fsLR": ("midthickness", own)}
    if space == "fsnative":
        return {"sphere": _NATIVE["sphere"]}
    return {} if space.startswith("fsaverage") else None


def find_surfaces(folder: Path, needed: Surfaces) -> dict[str, list[str]] | None:
    """Surfaces in a subject's folder: name -> files of left and right; None if one is missing."""
    found: dict[str, dict[str, str]] = {name: {} for name in needed}
    there = [*folder.glob("anat/*.surf.gii"), *folder.glob("ses-*/anat/*.surf.gii")] if needed else []
    for path in sorted(there):
        entities = entities_of(path)
        own = {key: entities[key] for key in ("space", "den", "desc") if key in entities}
        for name, (end, wanted) in needed.items():
            if own == wanted and path.name.endswith(f"_{end}.surf.gii"):
                found[name][entities.get("hemi", "")] = str(path)
    if any(not {"L", "R"} <= sides.keys() for sides in found.values()):
        return None
    return {name: [sides["L"], sides["R"]] for name, sides in found.items()}


def _points(path: str | Path, n_vertices: int | None = None) -> np.ndarray:
    """(vertices, 3) of a surface, mm.

    Raises:
        UserError: it has not `n_vertices`.
    """
    points = np.asarray(load_image(path).darrays[0].data, np.float64)
    if n_vertices not in (None, len(points)):
        raise UserError(
            f"{path}: has {len(points)} vertices, the subject's images or other surfaces have {n_vertices}; "
            "get both again"
        )
    return points


def locate(geometry: Geometry, surfaces: Mapping[str, Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Place of each column.

    Args:
        surfaces: those of `needed_surfaces`, left and right of each.

    Returns:
        (voxels,) `left`, `right` or an empty string; (voxels,) int vertex of fsaverage5, -1 for none.

    Raises:
        UserError: a surface has other vertices than the images.
    """
    from voxscale.cortex import mni152_cortex, near_points, registered_vertices  # scipy.spatial is slow

    sides, vertices = np.zeros(geometry.n_voxels, "<U5"), np.full(geometry.n_voxels, -1)
    native = [_points(path) for path in surfaces.get("native", ())]
    registered = [
        registered_vertices(_points(path, len(native[i]) if native else None), side)
        for i, (side, path) in enumerate(zip(HEMISPHERES, surfaces.get("sphere", ()), strict=False))
    ]
    if isinstance(geometry, Volume):
        cortex = native or [mni152_cortex(side) for side in HEMISPHERES]
        of_vertex = np.repeat(list(HEMISPHERES), [len(points) for points in cortex])
        known = np.concatenate(registered or [np.arange(len(points)) for points in cortex])
        nearest = near_points(geometry.centres, np.concatenate(cortex))
        there = nearest >= 0
        sides[there], vertices[there] = of_vertex[nearest[there]], known[nearest[there]]
    for side, n_vertices in geometry.cortex.items():
        i, own = list(HEMISPHERES).index(side), geometry.sides == side
        sides[own] = side
        if "fsLR" in surfaces:
            nearest = near_points(_points(surfaces["fsLR"][i], n_vertices), native[i])
            known = np.where(nearest < 0, -1, registered[i][nearest])
        elif registered:
            _points(surfaces["sphere"][i], n_vertices)
            known = registered[i]
        else:
            # The icosahedrons are nested: the first vertices of a finer one are those of a coarser one.
            known = np.where(np.arange(n_vertices) < N_VERTICES, np.arange(n_vertices), -1)
        vertices[own] = known[geometry.vertices[own]]
    return sides, vertices


def write_voxel_places(places: Mapping[str, Any], responses: str | Path, path: str | Path) -> None:
    """Write the table of where a subject's voxels are.

    Args:
        places: see `Dataset.places`: of a pycortex database (`database`, `subject` and `transforms`), or of
            images (`files` of a story, `reading` and `surfaces`).
        responses: `results/responses/<subject>.h5`, which has the number of voxels of the dataset's files.
        path: tab-separated file to write.

    Raises:
        UserError: pycortex is not installed, or does not know the subject, its transform or its voxels; or an
            image or a surface cannot be used.
    """
    from voxscale.cortex import locate_voxels, transform_of  # scipy.spatial slows each start of the workflow

    n_voxels = int(open_subject(responses).attrs["n_columns"])
    if "database" in places:
        transform = transform_of(places["transforms"], places["subject"])
        write_voxels(path, locate_voxels(places["database"], places["subject"], transform, n_voxels))
        return
    geometry = read_response_header(places["files"], Reading(**places["reading"])).geometry
    if geometry is None or geometry.n_voxels != n_voxels:
        raise UserError(f"{places['files'][0]}: has changed since its responses were prepared; run again")
    sides, vertices = locate(geometry, places["surfaces"])
    placed = [vertex if vertex >= 0 else "" for vertex in vertices.tolist()]
    write_voxels(path, {"voxel": range(n_voxels), "hemisphere": sides.tolist(), "vertex": placed})
