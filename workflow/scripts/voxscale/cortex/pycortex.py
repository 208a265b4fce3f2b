"""pycortex, which is optional: whether it is installed, and the messages if it is not."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import read_json

NOT_INSTALLED = "No flatmaps: pycortex is not installed; install it with `make pycortex` to have flatmaps."
NO_PLACES = (
    "No regions and no maps of ds003020: pycortex, which reads them from its surfaces, is not installed. "
    "Type `make pycortex` and run again; no fit is made again."
)


_MASKS = ("thick", "cortical", "thin")  # of pycortex; ds003020's voxels are those of the first


def pycortex_installed() -> bool:
    """Whether pycortex can be imported."""
    return importlib.util.find_spec("cortex") is not None


def transform_of(transforms: str | Path, subject: str) -> str:
    """Name of a subject's pycortex transform.

    Args:
        transforms: JSON file, subject -> name.

    Raises:
        UserError: the file does not have the subject.
    """
    known = read_json(transforms)
    if subject not in known:
        raise UserError(f"{transforms}: has no transform of {subject}; add it")
    return known[subject]


def open_database(database: str | Path, subject: str) -> Any:
    """The package `cortex`, its database set to this one.

    Raises:
        UserError: pycortex is not installed, the folder is not a database, or it lacks the subject.
    """
    if not pycortex_installed():
        raise UserError(NOT_INSTALLED)
    if not Path(database).is_dir():
        raise UserError(f"{database}: is not a pycortex database; download part pycortex-{subject}")
    import cortex

    cortex.db.filestore = str(database)
    cortex.db.reload_subjects()
    if subject not in cortex.db.subjects:
        raise UserError(f"{database}: has no subject {subject}; download part pycortex-{subject}")
    return cortex


def read_mask(
    database: str | Path, subject: str, transform: str, n_voxels: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mask of a subject's transform that has so many voxels, read without pycortex.

    pycortex counts voxels with z first and x last: the order of the response files is that of the array in
    Fortran's order.

    Returns:
        (x, y, z) bool, and the (4, 4) affine of the image.

    Raises:
        UserError: none of the masks has so many voxels.
    """
    import nibabel

    folder = Path(database) / subject / "transforms" / transform
    found = {}
    for kind in _MASKS:
        if (path := folder / f"mask_{kind}.nii.gz").is_file():
            image = nibabel.load(path)
            mask = np.asanyarray(image.dataobj) != 0
            if int(mask.sum()) == n_voxels:
                return mask, image.affine
            found[kind] = int(mask.sum())
    sizes = ", ".join(f"{kind} {count}" for kind, count in found.items()) or "none"
    raise UserError(
        f"{folder}: no mask has the {n_voxels} voxels of {subject}'s responses (masks: {sizes}); "
        f"fetch part pycortex-{subject} again"
    )
