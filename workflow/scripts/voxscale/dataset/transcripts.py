"""Words and phones with their times, from Praat TextGrids or from tables of word timings."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from praatio.utilities import textgrid_io
from praatio.utilities.constants import INTERVAL_TIER
from praatio.utilities.errors import PraatioException

from voxscale.errors import UserError
from voxscale.io import read_rows, require

# Silence, breath, laughter, lip smack, noise and sentence marks of ds003020's transcripts, and the silence
# and spoken-noise marks of the usual forced aligners.
_MARKS = frozenset({"sp", "br", "lg", "ls", "ns", "sentence_start", "sentence_end", "sil", "spn"})
# Times are written with about 10 ms of precision; a larger overlap means a broken file.
_OVERLAP_S = 0.05


class TimedLabel(NamedTuple):
    """A stretch of the sound with its label; seconds after the start of the sound."""

    onset_s: float
    offset_s: float
    label: str


def _is_mark(label: str) -> bool:
    """Whether a label is a silence, a breath or a noise instead of something spoken."""
    bare = label.strip()
    if not bare or bare.lower() in _MARKS:
        return True
    return (bare[0], bare[-1]) in {("{", "}"), ("<", ">"), ("[", "]")}


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "latin-1"]  # Praat wrote Latin-1 before it wrote Unicode
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: its text cannot be decoded; save it from Praat as UTF-8")


def _parse(path: Path) -> dict[str, list[TimedLabel]]:
    text = _decode(require(path, "TextGrid")).replace("\r\n", "\n").replace("\r", "\n")
    if "ooTextFile" not in text[:200] or "TextGrid" not in text[:400]:
        raise UserError(f"{path}: is not a TextGrid (its first lines do not say so); export it from Praat")
    try:
        # The parser finds the end of the last label by the line break behind it.
        tiers = textgrid_io.parseTextgridStr(text.rstrip() + "\n", includeEmptyIntervals=True)["tiers"]
        found: dict[str, list[TimedLabel]] = {}
        for tier in tiers:
            if tier["class"] == INTERVAL_TIER:
                intervals = [TimedLabel(float(a), float(b), label) for a, b, label in tier["entries"]]
                found.setdefault(tier["name"], []).extend(intervals)
    except (PraatioException, ValueError, IndexError, KeyError) as error:
        detail = str(error) or type(error).__name__
        raise UserError(f"{path}: is a damaged TextGrid ({detail}); export it from Praat again") from None
    _check_whole(path, text, found)
    return found


def _check_whole(path: Path, text: str, tiers: dict[str, list[TimedLabel]]) -> None:
    """A file cut off in the middle parses, with fewer intervals than its header states."""
    long = re.findall(r"intervals: ?size ?= ?(\d+)", text)
    short = re.findall(r'^"IntervalTier"\n".*"\n\S+\n\S+\n(\d+)', text, flags=re.MULTILINE)
    stated, held = sum(map(int, long or short)), sum(map(len, tiers.values()))
    if stated != held:
        raise UserError(f"{path}: has {held} intervals, its header says {stated}; get the whole file again")


def _tier(path: Path, tiers: dict[str, list[TimedLabel]], kind: str) -> list[TimedLabel] | None:
    """The tier called `word` or `speaker - words` (or phone, phones, phoneme, phonemes) in any case."""
    names = {"word": {"word", "words"}, "phone": {"phone", "phones", "phoneme", "phonemes"}}[kind]
    matching = [name for name in tiers if (re.findall(r"[a-z]+", name.lower()) or [""])[-1] in names]
    if len(matching) > 1:
        raise UserError(f"{path}: tiers {', '.join(matching)} are all called {kind}; keep one of them")
    return tiers[matching[0]] if matching else None


def _spoken(where: str, intervals: list[TimedLabel]) -> list[TimedLabel]:
    """Intervals with speech, in order, their times checked."""
    spoken: list[TimedLabel] = []
    for interval in intervals:
        onset_s, offset_s, label = interval
        if _is_mark(label):
            continue
        if not offset_s > onset_s >= 0:
            raise UserError(f"{where}: {label!r} lasts from {onset_s} s to {offset_s} s; correct its times")
        if spoken and onset_s < spoken[-1].onset_s:
            raise UserError(
                f"{where}: {label!r} at {onset_s} s comes after {spoken[-1].label!r} "
                f"at {spoken[-1].onset_s} s; put the intervals in order"
            )
        if spoken and onset_s < spoken[-1].offset_s - _OVERLAP_S:
            raise UserError(
                f"{where}: {label!r} at {onset_s} s overlaps {spoken[-1].label!r}; correct its times"
            )
        spoken.append(TimedLabel(onset_s, offset_s, " ".join(label.split())))
    return spoken


def _words(where: str, intervals: list[TimedLabel]) -> list[TimedLabel]:
    words = _spoken(where, intervals)
    if not words:
        raise UserError(f"{where}: has no words; leave the story out of the config or correct it")
    # ASSUME: an aligner wrote a transcript all in capitals; to a language model they are other tokens.
    letters = "".join(word.label for word in words)
    if len(words) > 1 and letters.isupper():
        words = [word._replace(label=word.label.lower()) for word in words]
    return words


def _read_textgrid(path: str | Path) -> tuple[list[TimedLabel], list[TimedLabel]]:
    """Words and phones of a TextGrid (long or short text format; UTF-8, UTF-16 or Latin-1).

    Returns:
        Words, and phones (none if there is no phone tier), in order of time, without silences and noises.

    Raises:
        UserError: the file is missing, not a TextGrid, cut off, has no words, or times out of order.
    """
    path = Path(path)
    tiers = _parse(path)
    words = _tier(path, tiers, "word")
    if words is None:
        names = ", ".join(tiers) or "none"
        raise UserError(f"{path}: has no tier called word (interval tiers: {names}); rename the word tier")
    return _words(f"{path}: tier word", words), _spoken(
        f"{path}: tier phone", _tier(path, tiers, "phone") or []
    )


def _read_word_table(path: str | Path) -> tuple[list[TimedLabel], list[TimedLabel]]:
    """Words of a tab-separated table with columns `onset`, `duration` (seconds) and `word`, as BIDS has it.

    Returns:
        Words, and no phones.

    Raises:
        UserError: the table is missing or malformed, has no words, or times out of order.
    """
    path = Path(path)
    intervals = []
    for number, row in enumerate(read_rows(path, ("onset", "duration", "word")), start=2):
        try:
            onset_s, duration_s = float(row["onset"]), float(row["duration"])
        except ValueError:
            raise UserError(
                f"{path}: line {number} has times {row['onset']!r}, {row['duration']!r}; they must be seconds"
            ) from None
        label = "" if row["word"] in ("n/a", "") else row["word"]
        intervals.append(TimedLabel(onset_s, onset_s + duration_s, label))
    return _words(str(path), intervals), []


def read_transcript(path: str | Path) -> tuple[list[TimedLabel], list[TimedLabel]]:
    """Words and phones from a TextGrid or, by the suffix `.tsv`, from a table of word timings."""
    return _read_word_table(path) if Path(path).suffix == ".tsv" else _read_textgrid(path)
