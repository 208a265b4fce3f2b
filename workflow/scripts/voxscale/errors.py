"""What a user's mistake looks like: one line that names the file or key, what is wrong and what to do."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the config or the data, told in one line: `<file or key>: what is wrong; what to do`."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
