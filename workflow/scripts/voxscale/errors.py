"""A user's mistake: one line that names the file or key, what is wrong and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class UserError(Exception):
    """A mistake in the config or the data, in one line: `<file or key>: what is wrong; what to do`."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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
