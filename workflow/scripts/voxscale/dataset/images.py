"""Images of BOLD runs, each read as (TRs, voxels): NIfTI volumes, GIFTI surfaces, CIFTI grayordinates."""

import functools
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

import numpy as np

from voxscale.dataset.confounds import clean_run, load_confounds
from voxscale.dataset.declared import require_size
from voxscale.dataset.geometry import Geometry, Grayordinates, Surface, Volume
from voxscale.errors import UserError, first_line
from voxscale.io import require

VOLUMES, SURFACES, GRAYORDINATES = (".nii", ".nii.gz"), (".func.gii",), (".dtseries.nii",)
IMAGES = (*VOLUMES, *SURFACES)  # ends of names; that of grayordinates is one of a volume, too


class Reading(NamedTuple):
    """How a subject's images are read; parameters of a rule, so that a change is noticed.

    Attributes:
        key: block of the config that says so, for messages.
        space: name of their space, as in the files' names.
        masks: of volumes: the columns are the voxels that all masks have.
        dummy_scans: TRs left out at the start of each run.
        cleaning: see `voxscale.dataset.confounds.clean_run`; None for images that are clean.
        smoothing_mm: full width at half maximum of a Gaussian kernel; None for none.
    """

    key: str = "dataset.bids"
    space: str = ""
    masks: tuple[str, ...] = ()
    dummy_scans: int = 0
    cleaning: Mapping[str, Any] | None = None
    smoothing_mm: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What changes the values, but for the masks."""
        values = self._asdict()
        changing = ("dummy_scans", "cleaning", "smoothing_mm")
        return {name: values[name] for name in changing if values[name]}


def load_image(path: str | Path) -> Any:
    """An image of any format of nibabel, whose values are not yet read."""
    import nibabel

    require(path, "image")
    try:
        image = nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, OSError, ValueError, zlib.error, ExpatError) as error:
        form = "GIFTI" if _form_of(Path(path)) is _Surfaces else "NIfTI"
        raise UserError(f"{path}: is not a {form} image ({first_line(error)}); get it again") from None
    if hasattr(image, "shape"):  # not of surfaces, which are read at once
        require_size(path, image.shape, image.get_data_dtype())
    return image


def _values(path: str | Path, image: Any) -> np.ndarray:
    if image.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path}: holds {image.get_data_dtype()}; save it as real numbers")
    try:
        return np.asanyarray(image.dataobj)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: is cut off ({first_line(error)}); get it again") from None


def _inside(mask: str | Path, image: Any) -> np.ndarray:
    """Where a mask has voxels: bool of its shape (x, y, z); further axes may have the length 1."""
    values = _values(mask, image)
    if not np.isin(values, (0, 1)).all():
        raise UserError(f"{mask}: has values other than 0 and 1; save it as a mask of these two")
    if values.ndim < 3 or max(values.shape[3:], default=1) > 1:
        raise UserError(f"{mask}: has shape {values.shape}; a mask is (x, y, z)")
    return values.reshape(values.shape[:3]) == 1


def _on_grid(image: Any, shape: tuple[int, ...], affine: np.ndarray) -> bool:
    return image.shape[:3] == shape and np.allclose(image.affine, affine, atol=1e-4)


def mask_voxels(*masks: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Where all masks have voxels, bool (x, y, z), in whose order those of responses are; and their affine.

    Raises:
        UserError: a mask cannot be read, they lie on different grids, or no voxel is in all of them.
    """
    # A study reads them for each of its stories.
    return _mask_voxels(tuple((str(path), require(path, "mask").stat().st_mtime_ns) for path in masks))


@functools.lru_cache(maxsize=16)
def _mask_voxels(masks: tuple[tuple[str, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    first, _ = masks[0]
    image = load_image(first)
    inside, affine = _inside(first, image), image.affine
    for path, _ in masks[1:]:
        image = load_image(path)
        if not _on_grid(image, inside.shape, affine):
            raise UserError(
                f"{path}: is not on the grid of {first}; the runs of a subject must have one grid: "
                "resample them, or give one mask of your own"
            )
        inside = inside & _inside(path, image)
    if not inside.any():
        what = "is empty" if len(masks) == 1 else f"and {len(masks) - 1} more masks have no voxel in common"
        raise UserError(f"{first}: {what}; give a mask with voxels")
    return inside, affine


class RunHeader(NamedTuple):
    """What a run is by its headers.

    Attributes:
        n_trs: of the files, with dummy scans.
        held: bytes that reading it takes, without the values that it returns.
    """

    n_trs: int
    geometry: Geometry
    held: float


class _Form(ABC):
    """A form of images; `files` are those of one run."""

    n_files: ClassVar[int] = 1

    @staticmethod
    @abstractmethod
    def header(files: Sequence[Path], reading: Reading) -> RunHeader: ...

    @staticmethod
    @abstractmethod
    def values(files: Sequence[Path], reading: Reading) -> np.ndarray:
        """(TRs, voxels) float32."""


class _Volumes(_Form):
    @staticmethod
    def _open(path: Path, reading: Reading) -> tuple[Any, np.ndarray, np.ndarray]:
        if not reading.masks:
            raise UserError(f"{path}: needs a mask; set config key {reading.key}.mask")
        inside, affine = mask_voxels(*reading.masks)
        image = load_image(path)
        if len(image.shape) != 4:
            raise UserError(f"{path}: has {len(image.shape)} dimensions; a BOLD run has 4")
        if not _on_grid(image, inside.shape, affine):
            raise UserError(
                f"{path}: is not on the grid of the mask {reading.masks[0]}; resample one to the other"
            )
        return image, inside, affine

    @staticmethod
    def header(files: Sequence[Path], reading: Reading) -> RunHeader:
        image, inside, affine = _Volumes._open(files[0], reading)
        slope, inter = getattr(image.dataobj, "slope", 1), getattr(image.dataobj, "inter", 0)
        # A run's volumes as stored and, where they are scaled or smoothed, in float64.
        in_double = (slope, inter) != (1, 0) or reading.smoothing_mm
        held = float(np.prod(image.shape)) * (image.get_data_dtype().itemsize + 8 * bool(in_double))
        return RunHeader(image.shape[3], Volume(reading.space, inside, affine), held)

    @staticmethod
    def values(files: Sequence[Path], reading: Reading) -> np.ndarray:
        image, inside, _ = _Volumes._open(files[0], reading)
        if reading.smoothing_mm:
            from nilearn.image import smooth_img

            _values(files[0], image)  # says what is wrong with a damaged file
            image = smooth_img(image, reading.smoothing_mm)
        return _values(files[0], image)[inside].T.astype(np.float32, order="C")


class _Surfaces(_Form):
    n_files = 2  # left and right

    @staticmethod
    def _sizes(path: Path) -> tuple[int, int]:
        """TRs and vertices by the start of a GIFTI file."""
        n_arrays = 0
        try:
            with require(path, "GIFTI").open("rb") as file:
                for _, element in ElementTree.iterparse(file, events=("start",)):
                    if element.tag == "GIFTI":
                        n_arrays = int(element.get("NumberOfDataArrays", 0))
                    if element.tag == "DataArray":
                        n_vertices, columns = int(element.get("Dim0", 0)), int(element.get("Dim1", 0))
                        return (columns if n_arrays == 1 and columns else n_arrays), n_vertices
        except (ElementTree.ParseError, ValueError) as error:
            raise UserError(f"{path}: is not a GIFTI file ({first_line(error)}); get it again") from None
        raise UserError(f"{path}: holds no data; get it again")

    @staticmethod
    def header(files: Sequence[Path], reading: Reading) -> RunHeader:
        (n_trs, n_left), (n_others, n_right) = map(_Surfaces._sizes, files)
        if n_trs != n_others:
            raise UserError(f"{files[1]}: has {n_others} TRs, {files[0].name} has {n_trs}; get both again")
        # One hemisphere's file and its arrays, twice.
        held = max(path.stat().st_size for path in files) + 8.0 * n_trs * max(n_left, n_right)
        return RunHeader(n_trs, Surface(reading.space, n_left, n_right), held)

    @staticmethod
    def values(files: Sequence[Path], reading: Reading) -> np.ndarray:
        return np.hstack([_Surfaces._side(path) for path in files])

    @staticmethod
    def _side(path: Path) -> np.ndarray:
        arrays = [array.data for array in load_image(path).darrays]
        if len({array.shape for array in arrays}) != 1 or len(arrays) > 1 < arrays[0].ndim:
            raise UserError(f"{path}: its data arrays are not one per TR; get it again")
        values = arrays[0].T if arrays[0].ndim > 1 else np.stack(arrays)
        return values.astype(np.float32, order="C", copy=False)


class _Grayordinates(_Form):
    @staticmethod
    def _open(path: Path) -> Any:
        from nibabel.cifti2 import BrainModelAxis, SeriesAxis

        image = load_image(path)
        axes = [image.header.get_axis(i) for i in (0, 1)] if hasattr(image.header, "get_axis") else []
        if [type(axis) for axis in axes] != [SeriesAxis, BrainModelAxis]:
            raise UserError(f"{path}: is not a CIFTI dense series (TRs x grayordinates); get it again")
        return image

    @staticmethod
    def header(files: Sequence[Path], reading: Reading) -> RunHeader:
        image = _Grayordinates._open(files[0])
        held = float(np.prod(image.shape)) * image.get_data_dtype().itemsize
        return RunHeader(image.shape[0], Grayordinates(reading.space, image.header.get_axis(1)), held)

    @staticmethod
    def values(files: Sequence[Path], reading: Reading) -> np.ndarray:
        image = _Grayordinates._open(files[0])
        return _values(files[0], image).astype(np.float32, order="C", copy=False)


def _form_of(path: Path) -> type[_Form]:
    name = path.name.lower()
    return (
        _Grayordinates if name.endswith(GRAYORDINATES) else _Surfaces if name.endswith(".gii") else _Volumes
    )


def _runs(files: Sequence[Path]) -> tuple[type[_Form], list[Sequence[Path]]]:
    form = _form_of(files[0])
    return form, [files[i : i + form.n_files] for i in range(0, len(files), form.n_files)]


def read_headers(files: Sequence[Path], reading: Reading) -> list[RunHeader]:
    """Headers of a story's runs.

    Args:
        files: of all runs in turn; a run on surfaces has two, left and right.

    Raises:
        UserError: a file is no image, or the runs differ in their TRs or their geometry.
    """
    form, runs = _runs(files)
    headers = [form.header(run, reading) for run in runs]
    if len({header.n_trs for header in headers}) > 1:
        trs = ", ".join(str(header.n_trs) for header in headers)
        raise UserError(
            f"{files[0]}: the story's runs have {trs} TRs; repeats need the same TRs, and sections of a "
            f"story are declared by config key {reading.key}.sections"
        )
    for run, header in zip(runs, headers, strict=True):
        require_same(run[0], header.geometry, files[0], headers[0].geometry)
    if reading.smoothing_mm and form is not _Volumes:
        raise UserError(
            f"config key {reading.key}.smoothing_mm: only volumes are smoothed; leave it out for surfaces "
            "and grayordinates"
        )
    return headers


def require_same(path: str | Path, geometry: Geometry, other: str | Path, first: Geometry) -> None:
    """Refuse runs whose voxels are not the same.

    Raises:
        UserError: the line names both files.
    """
    if not geometry.same_as(first):
        raise UserError(
            f"{path}: has {geometry.n_voxels} {geometry.unit}, {Path(other).name} has {first.n_voxels}, or "
            "others; all runs of a subject must have the same: leave the story out or get it again"
        )


def read_run(files: Sequence[Path], reading: Reading) -> np.ndarray:
    """(TRs, voxels) float32 of one run: without dummy scans, cleaned.

    In a run that is cleaned, a voxel that never changes or has a value that is not finite is NaN throughout.
    """
    values = _form_of(files[0]).values(files, reading)[reading.dummy_scans :]
    return (
        values
        if reading.cleaning is None
        else clean_run(values, files, reading.dummy_scans, reading.cleaning)
    )


def read_runs(files: Sequence[Path], reading: Reading) -> tuple[np.ndarray, np.ndarray | None]:
    """A story's responses: (TRs, voxels), and (repeats, TRs, voxels) if there are several runs."""
    read_headers(files, reading)
    runs = [read_run(run, reading) for run in _runs(files)[1]]
    return (runs[0], None) if len(runs) == 1 else (np.mean(runs, axis=0, dtype=np.float64), np.stack(runs))


def check_confounds(files: Sequence[Path], n_trs: int, reading: Reading) -> None:
    """Make sure that each run of a story has its table of confounds, with what is to be taken from it.

    Args:
        n_trs: of a run without dummy scans.

    Raises:
        UserError: see `voxscale.dataset.confounds.load_confounds`.
    """
    for run in _runs(files)[1]:
        load_confounds(run, n_trs + reading.dummy_scans, (reading.cleaning or {})["confounds"])


def header_tr_s(path: str | Path) -> float | None:
    """TR of a NIfTI image in seconds by its header; None where it says nothing that can be one.

    0, 1 and 1000 stand in the headers of programs that do not know the TR. Milliseconds are written with
    and without their unit.
    """
    import nibabel

    if _form_of(Path(path)) is not _Volumes:
        return None
    try:
        header = nibabel.load(path).header
        value, unit = float(header["pixdim"][4]), header.get_xyzt_units()[1]
    except (nibabel.filebasedimages.ImageFileError, OSError, KeyError, ValueError):
        return None
    if value in (0, 1, 1000):
        return None
    value /= 1e6 if unit == "usec" else 1e3 if unit == "msec" or value >= 100 else 1
    return value if 0.05 <= value <= 30 else None
