"""Praat's TextGrids, in the long or the short text format, read as Praat itself reads them."""

import codecs
import contextlib
import re
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from voxscale.errors import UserError, naming
from voxscale.io import require

# Praat looks for texts in double quotes (a quotation mark inside is written twice) and for numbers that stand
# alone; `!` starts a comment, all other words are ignored. So the long and the short format are the same.
# https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
_TOKEN = re.compile(
    r"""(?:\s|=|[^\s="!\d.+-][^\s="]*)*  # words
    (?: !.* | "(?P<text>(?:[^"]|"")*)" | (?P<number>[\d.+-][^\s="]*) | (?P<open>") | \Z )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_TIER = re.compile(r'"(IntervalTier|TextTier)"[^"]*"((?:[^"]|"")*)"')
_LABEL = re.compile(r'"((?:[^"]|"")*)"')
# What accents in MacRoman, which Praat once wrote on a Mac, become when they are read as Windows-1252.
_MAC_ACCENT = re.compile("[a-z][ŽŸˆ‡™]|‡[a-z]")


class TimedLabel(NamedTuple):
    """A stretch of the sound with its label; seconds after the start of the sound."""

    onset_s: float
    offset_s: float
    label: str


class Tier(NamedTuple):
    """An interval tier; several may have the same name."""

    name: str
    intervals: list[TimedLabel]


class _Tokens:
    """The texts and numbers of a TextGrid, one after the other; StopIteration at its end."""

    def __init__(self, text: str) -> None:
        self._text, self._found, self._at = text, _TOKEN.finditer(text), 0

    def _error(self, what: str) -> ValueError:
        line = self._text.count("\n", 0, self._at) + 1
        return ValueError(f"is a damaged TextGrid (line {line}: {what}); export it from Praat again")

    def __next__(self) -> str | float:
        for token in self._found:
            if (text := token["text"]) is not None:
                self._at = token.start("text")
                if self._text[token.end() : token.end() + 1].strip():
                    raise self._error("a quotation mark inside a text must be written twice")
                return text.replace('""', '"')
            if number := token["number"]:
                self._at = token.start("number")
                if _NUMBER.fullmatch(number):
                    return float(number)
                if any(map(str.isdigit, number)):
                    raise self._error(f"{number} is not a plain number")
            if token["open"]:
                self._at = token.start("open")
                raise self._error("a quotation mark that no other closes")
        raise StopIteration

    def text(self) -> str:
        if not isinstance(found := next(self), str):
            raise self._error(f"{found:g} stands where a text in quotation marks should")
        return found

    def number(self) -> float:
        if isinstance(found := next(self), str):
            raise self._error(f"{found!r} stands where a number should")
        return found

    def count(self) -> int:
        if not (found := self.number()).is_integer() or found < 0:
            raise self._error(f"{found:g} stands where a whole number should")
        return int(found)


def _parse(text: str) -> list[Tier]:
    tokens = _Tokens(text)
    tiers: list[Tier] = []
    intervals: list[TimedLabel] = []
    where, stated = "its header", 0
    try:
        for _ in range(2):  # file type, object class
            tokens.text()
        for _ in range(2):  # xmin, xmax
            tokens.number()
        for number in range(n_tiers := tokens.count()):
            where, stated = f"tier {number + 1} of {n_tiers}", 0
            kind, name = tokens.text(), tokens.text()
            _, _, stated = tokens.number(), tokens.number(), tokens.count()
            where, intervals = f"tier {name}", []
            for _ in range(stated):
                start_s = tokens.number()
                end_s = tokens.number() if kind == "IntervalTier" else start_s
                intervals.append(TimedLabel(start_s, end_s, tokens.text()))
            if kind == "IntervalTier":
                tiers.append(Tier(name, intervals))
    except StopIteration:
        of = f" (it has {len(intervals)} intervals, its header says {stated})" if stated else ""
        raise ValueError(f"ends in {where}{of}; get the whole file again") from None
    if next(tokens, None) is not None:
        raise ValueError("has more intervals or tiers than its header says; export it from Praat again")
    return tiers


def _read_text(path: Path) -> tuple[str, str]:
    """The text, and its encoding."""
    raw = require(path, "TextGrid").read_bytes()
    if raw.startswith(b"ooBinaryFile"):
        raise UserError(f"{path}: is a binary TextGrid; open it in Praat and save it as a text file")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]  # Praat wrote Latin-1 or Windows-1252 before it wrote Unicode
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            text = raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
            if encoding != "cp1252" or not _MAC_ACCENT.search(text):
                break
    else:
        raise UserError(f"{path}: its text cannot be decoded; save it from Praat as UTF-8")
    if "chronological TextGrid" in text[:100]:
        raise UserError(f"{path}: is a chronological TextGrid; open it in Praat and save it as a text file")
    if "ooTextFile" not in text[:200] or "TextGrid" not in text[:400]:
        raise UserError(f"{path}: is not a TextGrid (its first lines do not say so); export it from Praat")
    return text, encoding


def read_tiers(path: Path) -> list[Tier]:
    """The interval tiers of a TextGrid in UTF-8, UTF-16, Latin-1 or Windows-1252; point tiers are skipped.

    Raises:
        UserError: the file is missing, not a TextGrid, damaged or cut off.
    """
    text, encoding = _read_text(path)
    if encoding == "cp1252":
        example = re.search(r"[^\s\"]*[^\x00-\x7f][^\s\"]*", text)[0]
        print(f"WARNING {path}: is not in Unicode, read as Windows-1252: {example}", file=sys.stderr)
    with naming(path):
        return _parse(text)


def glance(path: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Name and labels of each interval tier, found in milliseconds and not checked.

    Raises:
        UserError: the file is missing or not a TextGrid.
    """
    text, _ = _read_text(path)
    tiers = list(_TIER.finditer(text))
    for tier, following in zip_longest(tiers, tiers[1:]):
        if tier[1] == "IntervalTier":
            end = following.start() if following else len(text)
            yield tier[2], (label[1] for label in _LABEL.finditer(text, tier.end(), end))
