"""A user's mistake: one line that names the file or key, what is wrong and what to do."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """A mistake in the config or the data, in one line: `<file or key>: what is wrong; what to do`."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Those of `known` that are much like a name, whatever their capitals."""
    known = list(known)
    close = get_close_matches(name.lower(), [other.lower() for other in known], cutoff=0.7)
    return sorted((k for k in known if k.lower() in close), key=lambda k: close.index(k.lower()))


def hint(name: str, known: Iterable[str], most: int = 12, listed: bool = False) -> str:
    """What there is instead of a name that is not known: the nearest names, or all if they are few.

    Args:
        most: how many names are listed.
        listed: list them also where some are near.
    """
    known = list(known)
    near = near_names(name, known)
    if not known:
        return "there is none"
    more = f" and {len(known) - most} more" if len(known) > most else ""
    there = f"there are {', '.join(known[:most])}{more}"
    if not near:
        return there
    return f"did you mean {' or '.join(near)}?{f' {there}' if listed else ''}"


def first_line(error: BaseException) -> str:
    """What a library says of an error, in one line: for the end of a message in plain words."""
    first, *more = (str(error).strip() or type(error).__name__).splitlines()
    return f"{first} {more[0].strip()}" if more and first.endswith(":") else first


def no_space(error: BaseException) -> str:
    """Where there is no space left, if that is what an error says; else empty."""
    # HDF5, safetensors and Snakemake have only the system's text, and exceptions of their own.
    for code, what in ((errno.ENOSPC, "on the disk, or no inodes"), (errno.EDQUOT, "in your quota")):
        if getattr(error, "errno", None) == code or os.strerror(code) in str(error):
            place = getattr(error, "filename", None) or f"results/ or {tempfile.gettempdir()}"
            return f"{place}: no space left {what}"
    return ""


@contextlib.contextmanager
def naming(place: str | Path) -> Iterator[None]:
    """Name the config key or the file that a `ValueError` inside this block is about.

    The science knows arrays only and raises `ValueError`; where the key or the file is known, it is put in
    front. Keep the block to that one call: a `ValueError` of another cause would be blamed on the user, too.

        with naming("config key encoding.alphas"):
            alphas = check_alphas(settings["alphas"])

    Args:
        place: "config key encoding.alphas", or a path.

    Raises:
        UserError: instead of a `ValueError`, which is kept as its cause.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(f"{place}: {error}") from error
