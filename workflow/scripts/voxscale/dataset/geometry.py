"""Where a subject's response columns lie, and values of them as images in the data's own space."""

import colorsys
import gzip
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from voxscale.cortex import N_VERTICES, side_letters, to_vertices
from voxscale.io import atomic

HEMISPHERES = {"left": "L", "right": "R"}
_CORTEX = {side: f"CIFTI_STRUCTURE_CORTEX_{side.upper()}" for side in HEMISPHERES}
Labels = Mapping[int, str]  # names of labels; 0 is no label


def _colour(key: int) -> tuple[float, float, float, float]:
    """Red, green, blue and opacity of a label; neighbouring numbers differ well in hue."""
    return (*colorsys.hsv_to_rgb(0.618 * key % 1, 0.65, 0.9), 1.0) if key else (0.0, 0.0, 0.0, 0.0)


def _with_none(labels: Labels) -> dict[int, str]:
    return {0: "none", **labels}


@dataclass(frozen=True, eq=False)
class Geometry(ABC):
    """Where the columns of one subject's response files lie; all runs of a subject agree in it.

    Attributes:
        space: name of the space as in the files' names (`T1w`, `fsaverage5`, `fsLR`, …), or an empty string.
    """

    space: str
    unit: ClassVar[str] = "voxels"

    @abstractmethod
    def same_as(self, other: "Geometry") -> bool:
        """Whether the columns of another run are at the same places."""

    def same_grid(self, other: "Geometry") -> bool:
        """Whether both are volumes of one grid, if not of the same voxels of it."""
        return False

    @property
    @abstractmethod
    def n_voxels(self) -> int:
        """Columns of the response files: voxels, vertices or grayordinates."""

    @property
    def cortex(self) -> dict[str, int]:
        """Vertices of the meshes of `left` and `right` cortex; none of volumes."""
        return {}

    @property
    def sides(self) -> np.ndarray:
        """(voxels,) `left` or `right` for vertices of cortex, an empty string for others."""
        return np.zeros(self.n_voxels, "<U5")

    @property
    def vertices(self) -> np.ndarray:
        """(voxels,) int vertex in the mesh of its side; -1 for others."""
        return np.full(self.n_voxels, -1)

    @abstractmethod
    def _images(self, values: np.ndarray, names: Sequence[str], labels: Labels | None) -> dict[str, Any]:
        """Images by the ends of their files' names; values are (maps, voxels) float32."""

    def write(
        self,
        values: np.ndarray,
        stem: str | Path,
        names: Sequence[str] = (),
        labels: Labels | None = None,
    ) -> list[Path]:
        """Write values of all columns as an image: NIfTI, two GIFTI files, or a CIFTI file.

        Args:
            values: (voxels,) or (maps, voxels), NaN where there is none.
            stem: path of the files without their ends, which are `.nii.gz`, `_hemi-L.func.gii` and
                `_hemi-R.func.gii`, or `.dscalar.nii`; of labels `.label.gii` and `.dlabel.nii`.
            names: of the maps; NIfTI has no place for them.
            labels: names of the values, where these are labels; NIfTI has no place for them.

        Returns:
            the files.

        Raises:
            ValueError: the values are not of all columns.
        """
        maps = np.atleast_2d(np.asarray(values, np.float32))
        if maps.shape[1] != self.n_voxels:
            raise ValueError(f"values of {maps.shape[1]} voxels; the responses have {self.n_voxels}")
        names = list(names) or [f"map {i + 1}" for i in range(len(maps))]
        paths = []
        for end, image in self._images(maps, names, labels).items():
            paths.append(path := Path(f"{stem}{end}"))
            raw = image.to_bytes()
            with atomic(path) as temporary:
                temporary.write_bytes(gzip.compress(raw, mtime=0) if end.endswith(".gz") else raw)
        return paths


@dataclass(frozen=True, eq=False)
class Volume(Geometry):
    """Voxels of an image grid.

    Attributes:
        inside: (x, y, z) bool, whether a voxel is a column.
        affine: (4, 4) from indexes to mm (right, front, up).
        order: of the columns: of the array with the last axis fastest (`C`), or the first (`F`).
    """

    inside: np.ndarray
    affine: np.ndarray
    order: str = "C"

    @property
    def n_voxels(self) -> int:
        return int(self.inside.sum())

    def same_as(self, other: Geometry) -> bool:
        return self.same_grid(other) and np.array_equal(self.inside, other.inside)

    def same_grid(self, other: Geometry) -> bool:
        return (
            isinstance(other, Volume)
            and self.inside.shape == other.inside.shape
            and np.allclose(self.affine, other.affine, atol=1e-4)
        )

    @property
    def indexes(self) -> np.ndarray:
        """(voxels, 3) place of each column in the grid."""
        return np.argwhere(self.inside) if self.order == "C" else np.argwhere(self.inside.T)[:, ::-1]

    @property
    def centres(self) -> np.ndarray:
        """(voxels, 3) mm, in the image's space."""
        return self.indexes @ self.affine[:3, :3].T + self.affine[:3, 3]

    def _images(self, values: np.ndarray, names: Sequence[str], labels: Labels | None) -> dict[str, Any]:
        import nibabel

        outside, kind = (np.nan, np.float32) if labels is None else (0, np.int16)
        filled = np.full((*self.inside.shape, len(values)), outside, kind)
        filled[tuple(self.indexes.T)] = values.T
        image = nibabel.Nifti1Image(filled[..., 0] if len(values) == 1 else filled, self.affine)
        image.header.set_xyzt_units("mm")
        return {".nii.gz": image}


@dataclass(frozen=True, eq=False)
class Surface(Geometry):
    """Vertices of both hemispheres, left before right.

    Attributes:
        n_left, n_right: vertices of each.
    """

    n_left: int
    n_right: int
    unit = "vertices"

    def same_as(self, other: Geometry) -> bool:
        return isinstance(other, Surface) and (self.n_left, self.n_right) == (other.n_left, other.n_right)

    @property
    def n_voxels(self) -> int:
        return self.n_left + self.n_right

    @property
    def cortex(self) -> dict[str, int]:
        return {"left": self.n_left, "right": self.n_right}

    @property
    def sides(self) -> np.ndarray:
        return np.repeat(list(self.cortex), list(self.cortex.values()))

    @property
    def vertices(self) -> np.ndarray:
        return np.concatenate([np.arange(n) for n in self.cortex.values()])

    def _images(self, values: np.ndarray, names: Sequence[str], labels: Labels | None) -> dict[str, Any]:
        from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData

        found, table, about = {}, GiftiLabelTable(), {"datatype": "float32"}
        if labels is not None:
            about = {"datatype": "int32", "intent": "NIFTI_INTENT_LABEL"}
            for key, name in _with_none(labels).items():
                table.labels.append(GiftiLabel(key, *_colour(key)))
                table.labels[-1].label = name
        for side, part in zip(HEMISPHERES, np.split(values, [self.n_left], axis=1), strict=True):
            arrays = [
                GiftiDataArray(row.astype(about["datatype"]), meta=GiftiMetaData({"Name": name}), **about)
                for row, name in zip(part, names, strict=True)
            ]
            meta = GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side.title()}"})
            end = f"_hemi-{HEMISPHERES[side]}.{'func' if labels is None else 'label'}.gii"
            found[end] = GiftiImage(meta=meta, darrays=arrays, labeltable=table)
        return found


@dataclass(frozen=True, eq=False)
class Grayordinates(Geometry):
    """Vertices and voxels of a CIFTI file, in its order.

    Attributes:
        axis: nibabel's `BrainModelAxis`.
    """

    axis: Any
    unit = "grayordinates"

    def same_as(self, other: Geometry) -> bool:
        return isinstance(other, Grayordinates) and self.axis == other.axis

    @property
    def n_voxels(self) -> int:
        return len(self.axis)

    @property
    def cortex(self) -> dict[str, int]:
        return {
            side: self.axis.nvertices[name] for side, name in _CORTEX.items() if name in self.axis.nvertices
        }

    @property
    def sides(self) -> np.ndarray:
        sides = super().sides
        for side, name in _CORTEX.items():
            sides[self.axis.name == name] = side
        return sides

    @property
    def vertices(self) -> np.ndarray:
        return np.asarray(self.axis.vertex)

    def _images(self, values: np.ndarray, names: Sequence[str], labels: Labels | None) -> dict[str, Any]:
        from nibabel.cifti2 import Cifti2Image, LabelAxis, ScalarAxis

        if labels is None:
            return {".dscalar.nii": Cifti2Image(values, (ScalarAxis(names), self.axis))}
        table = {key: (name, _colour(key)) for key, name in _with_none(labels).items()}
        axis = LabelAxis(list(names), [table] * len(names))
        return {".dlabel.nii": Cifti2Image(values, (axis, self.axis))}


@dataclass(frozen=True, eq=False)
class Placed(Geometry):
    """Columns of arrays, of which a voxel table says on which vertices of fsaverage5 they lie.

    A vertex has the mean of its voxels' values, and of labels that of the first.

    Attributes:
        hemisphere, vertex: (voxels,) of text and of numbers, as in the voxel table; NaN where unknown.
    """

    hemisphere: np.ndarray
    vertex: np.ndarray

    @property
    def n_voxels(self) -> int:
        return len(self.vertex)

    def same_as(self, other: Geometry) -> bool:
        """Whether the columns of another run are at the same places."""
        if not isinstance(other, Placed) or not np.array_equal(self.vertex, other.vertex, equal_nan=True):
            return False
        known = np.isfinite(self.vertex)
        return side_letters(self.hemisphere[known]).equals(side_letters(other.hemisphere[known]))

    def _images(self, values: np.ndarray, names: Sequence[str], labels: Labels | None) -> dict[str, Any]:
        import pandas as pd  # it slows each start of the workflow

        how, empty = ("mean", np.nan) if labels is None else ("first", 0)
        known, rows = np.isfinite(self.vertex), []
        for row in values:
            columns = {"hemisphere": self.hemisphere, "vertex": self.vertex, "value": row}
            on_vertices = to_vertices(pd.DataFrame(columns)[known], how)
            filled = np.concatenate([on_vertices[side] for side in HEMISPHERES])
            rows.append(np.where(np.isnan(filled), empty, filled).astype(np.float32))
        return Surface(self.space, N_VERTICES, N_VERTICES)._images(np.array(rows), names, labels)
