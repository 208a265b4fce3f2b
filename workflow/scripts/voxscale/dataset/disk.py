"""Whether what is about to be written fits on its disk."""

import shutil
import sys
from pathlib import Path

from voxscale.errors import UserError


def announce_writing(what: str, size: float, place: Path, remedy: str) -> None:
    """Print what will be written to `place`, a file or folder that need not exist, and its `size` in bytes.

    Raises:
        UserError: it does not fit; `remedy` is an alternative to freeing space.
    """
    folder = next(parent for parent in (place.absolute(), *place.absolute().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    print(f"{what}, {size / 1e9:.2f} GB to write ({free / 1e9:.0f} GB free)", file=sys.stderr)
    if size > free:
        raise UserError(
            f"{place}: needs {size / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free; free some, or {remedy}"
        )
