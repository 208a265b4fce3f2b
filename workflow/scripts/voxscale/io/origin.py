"""What each file of the workflow says of itself: for which place in `results` it was made, and how."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from voxscale import provenance
from voxscale.errors import UserError
from voxscale.io.placeholders import what_is_it

RESULTS = "results"
_SHARED = "results/features/stories/"  # named by content: jobs of any settings write and read the same
AGAIN = "delete it and run again"


def place_of(path: str | Path) -> str | None:
    """The path from the folder `results` on, wherever that folder is; None for a file outside of one."""
    parts = Path(path).parts
    if RESULTS not in parts:
        return None
    return "/".join(parts[len(parts) - 1 - parts[::-1].index(RESULTS) :])


def origin_of(path: str | Path) -> str:
    """What a file that is about to be written for `path` keeps inside, as JSON."""
    place = place_of(path)
    return json.dumps({"place": place, **({} if place and place.startswith(_SHARED) else provenance.job())})


def require_origin(path: str | Path, origin: str | bytes | None, remedy: str = AGAIN) -> None:
    """Check that a file is where it was made for: not another model's, subject's or cell's.

    Args:
        origin: what the file keeps; a file of an older version keeps nothing, and passes.
        remedy: what to do about it.

    Raises:
        UserError: it was made for another place.
    """
    place, made_for = place_of(path), json.loads(origin or "{}").get("place")
    if place and made_for and place != made_for:
        raise UserError(f"{path}: its content is that of {made_for}; {remedy}")


def remake(path: str | Path, delete: str = "it") -> str:
    """What to do about a damaged file that fits read: if it were made together with all else, every fit would
    be made again.

    Args:
        path: the file that the workflow makes.
        delete: what must be deleted first.
    """
    alone = f"run snakemake {path} with the options of this run"
    return f"delete {delete}, {alone}, then run again: finished fits stay"


@contextlib.contextmanager
def reading(
    path: str | Path, remedy: str = AGAIN, missing: str = "run again", problem: str = "damaged"
) -> Iterator[None]:
    """Turn whatever goes wrong while a file of the workflow is read into one line.

    Args:
        remedy: what to do if it is damaged, or something else.
        missing: what to do if it is missing.
        problem: what it is if its content cannot be read.

    Raises:
        UserError: it is missing, cannot be read, is not a file, or its bytes have changed.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except PermissionError:
        raise UserError(f"{path}: cannot be read; give yourself read permission") from None
    except Exception as error:  # each format has exceptions of its own
        if not Path(path).exists() and not Path(path).is_symlink():
            raise UserError(f"{path}: no such file; {missing}") from None
        what = what_is_it(path)
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: {f'is {what}' if what else f'{problem} ({detail})'}; {remedy}") from None
