"""Tables and quantities as the command line prints them."""

from collections.abc import Iterable, Sequence

from humanfriendly import format_size
from tabulate import tabulate


def table(header: Sequence[str], rows: Iterable[Sequence[object]], words: Sequence[str] = ()) -> list[str]:
    """Lines of a table: the first column and those of words to the left, numbers to the right."""
    aligned = ["left" if name in (header[0], *words) else "right" for name in header]
    return tabulate(list(rows), header, "plain", disable_numparse=True, colalign=aligned).splitlines()


def hours(value: float) -> str:
    """Hours, with two digits where there are less than ten."""
    return "-" if not value else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def size(megabytes: float) -> str:
    """A size in the unit that suits it."""
    return "-" if megabytes < 0.5 else format_size(round(megabytes) * 1e6)


def duration(seconds: float) -> str:
    """A time in minutes or hours."""
    return "-" if not seconds else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
