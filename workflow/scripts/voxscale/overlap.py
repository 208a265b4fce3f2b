"""Two things at once: preparing what comes next, or finishing what came last, by another thread.

The main thread does the long work, so that a signal ends it at once.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T, P = TypeVar("T"), TypeVar("P")


def prepare_ahead(items: Iterable[T], prepare: Callable[[T], P]) -> Iterator[tuple[T, P]]:
    """Yield each item with its preparation; the next one is prepared while the caller uses this one."""
    before = None
    with ThreadPoolExecutor(1) as pool:
        for item in items:
            coming = item, pool.submit(prepare, item)
            if before is not None:
                yield before[0], before[1].result()
            before = coming
        if before is not None:
            yield before[0], before[1].result()


def finish_behind(items: Iterable[T], finish: Callable[[T], object]) -> None:
    """Finish each item while the next one is made; an error in either ends both."""
    with ThreadPoolExecutor(1) as pool:
        last = None
        for item in items:
            if last is not None:
                last.result()
            last = pool.submit(finish, item)
        if last is not None:
            last.result()
