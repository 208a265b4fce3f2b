"""pycortex, which is optional: whether it is installed, and the messages if it is not."""

import importlib.util
from pathlib import Path
from typing import Any

from voxscale.errors import UserError

NOT_INSTALLED = "No flatmaps: pycortex is not installed; install it with `make pycortex` to have flatmaps."
NO_PLACES = (
    "No regions and no maps of ds003020: pycortex, which reads them from its surfaces, is not installed. "
    "Type `make pycortex` and run again; no fit is made again."
)


def pycortex_installed() -> bool:
    """Whether pycortex can be imported."""
    return importlib.util.find_spec("cortex") is not None


def why_no_flatmaps(database: str | Path) -> str | None:
    """Why flatmaps cannot be drawn from this pycortex database, in one plain line, or None if they can.

    Args:
        database: a pycortex filestore: `<dataset.root>/derivative/pycortex-db`.
    """
    if not pycortex_installed():
        return NOT_INSTALLED
    if not Path(database).is_dir():
        return f"No flatmaps: {database} is not a pycortex database; download the parts pycortex-<subject>."
    return None


def open_database(database: str | Path, subject: str) -> Any:
    """The package `cortex`, its database set to this one.

    Raises:
        UserError: pycortex is not installed, the folder is not a database, or it lacks the subject.
    """
    if (reason := why_no_flatmaps(database)) is not None:
        raise UserError(reason)
    import cortex

    cortex.db.filestore = str(database)
    cortex.db.reload_subjects()
    if subject not in cortex.db.subjects:
        raise UserError(f"{database}: has no subject {subject}; download part pycortex-{subject}")
    return cortex
