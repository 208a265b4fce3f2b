"""Where a subject's response columns lie, and values of them as images in the data's own space."""

import gzip
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from voxscale.io import atomic

HEMISPHERES = {"left": "L", "right": "R"}


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

    @property
    @abstractmethod
    def n_voxels(self) -> int:
        """Columns of the response files: voxels, vertices or grayordinates."""

    @abstractmethod
    def _images(self, values: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        """Images by the ends of their files' names; values are (maps, voxels) float32."""

    def write(self, values: np.ndarray, stem: str | Path, names: Sequence[str] = ()) -> list[Path]:
        """Write values of all columns as an image: NIfTI, two GIFTI files, or a CIFTI dscalar file.

        Args:
            values: (voxels,) or (maps, voxels), NaN where there is none.
            stem: path of the files without their ends, which are `.nii.gz`, `_hemi-L.func.gii` and
                `_hemi-R.func.gii`, or `.dscalar.nii`.
            names: of the maps; NIfTI has no place for them.

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
        for end, image in self._images(maps, names).items():
            paths.append(path := Path(f"{stem}{end}"))
            raw = image.to_bytes()
            with atomic(path) as temporary:
                temporary.write_bytes(gzip.compress(raw, mtime=0) if end.endswith(".gz") else raw)
        return paths


@dataclass(frozen=True, eq=False)
class Volume(Geometry):
    """Voxels of an image grid.

    Attributes:
        inside: (x, y, z) bool, whether a voxel is a column; the columns have the order of the array (C).
        affine: (4, 4) from indexes to mm (right, front, up).
    """

    inside: np.ndarray
    affine: np.ndarray

    @property
    def n_voxels(self) -> int:
        return int(self.inside.sum())

    def same_as(self, other: Geometry) -> bool:
        return (
            isinstance(other, Volume)
            and np.array_equal(self.inside, other.inside)
            and np.allclose(self.affine, other.affine, atol=1e-4)
        )

    @property
    def centres(self) -> np.ndarray:
        """(voxels, 3) mm, in the image's space."""
        return np.argwhere(self.inside) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def _images(self, values: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        import nibabel

        filled = np.full((*self.inside.shape, len(values)), np.nan, np.float32)
        filled[self.inside] = values.T
        return {".nii.gz": nibabel.Nifti1Image(filled[..., 0] if len(values) == 1 else filled, self.affine)}


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

    def _images(self, values: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

        found = {}
        for side, part in zip(HEMISPHERES, np.split(values, [self.n_left], axis=1), strict=True):
            arrays = [
                GiftiDataArray(np.ascontiguousarray(row), meta=GiftiMetaData({"Name": name}))
                for row, name in zip(part, names, strict=True)
            ]
            meta = GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side.title()}"})
            found[f"_hemi-{HEMISPHERES[side]}.func.gii"] = GiftiImage(meta=meta, darrays=arrays)
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

    def _images(self, values: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        from nibabel.cifti2 import Cifti2Image, ScalarAxis

        return {".dscalar.nii": Cifti2Image(values, (ScalarAxis(names), self.axis))}
