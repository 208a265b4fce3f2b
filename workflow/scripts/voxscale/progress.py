"""What a user sees of work in progress, on stderr: bars for long jobs, single lines of news."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

CLEAR = "\r\x1b[K"  # empties the line of a terminal, of a bar that is drawn there


def bar(items: Iterable[T], what: str, total: int | None = None, unit: str = "it") -> "tqdm[T]":
    """Wrap an iterable in a bar on stderr that appears only after two seconds."""
    return tqdm(items, desc=what, total=total, unit=unit, delay=2, mininterval=2, leave=False)


def notify(text: str) -> None:
    """Print a line on stderr, where Snakemake prints its own."""
    print(text, file=sys.stderr, flush=True)
