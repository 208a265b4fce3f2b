"""pycortex, which is optional: whether it is installed, and the messages if it is not."""

import importlib.util
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.io import read_json

NOT_INSTALLED = "No flatmaps: pycortex is not installed; install it with `make pycortex` to have flatmaps."
NO_PLACES = (
    "No regions and no maps of ds003020: pycortex, which reads them from its surfaces, is not installed. "
    "Type `make pycortex` and run again; no fit is made again."
)


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
