"""Two things at once: preparing what comes next, or finishing what came last, by another thread.

The main thread does the long work, so that a signal ends it at once.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T, P = TypeVar("T"), TypeVar("P")


def prepare_ahead(items: Iterable[T], prepare: Callable[[T], P]) -> Iterator[tuple[T, P]]:
    """Yield each item with its preparation; the next one is prepared while the caller uses this one."""
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        waiting = [(item, pool.submit(prepare, item)) for item in [*_first(source)]]
        while waiting:
            item, coming = waiting.pop()
            ready = coming.result()
            waiting = [(after, pool.submit(prepare, after)) for after in _first(source)]
            yield item, ready


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


def _first(source: Iterator[T]) -> Iterator[T]:
    """The next item, if there is one."""
    for item in source:
        yield item
        return
