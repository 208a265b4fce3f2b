"""Progress bars for jobs that take longer than a blink."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def bar(items: Iterable[T], what: str, total: int | None = None, unit: str = "it") -> tqdm[T]:
    """Wrap an iterable in a bar on stderr that appears only after two seconds."""
    return tqdm(items, desc=what, total=total, unit=unit, delay=2, mininterval=2, leave=False)
