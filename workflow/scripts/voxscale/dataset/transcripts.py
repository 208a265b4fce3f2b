"""Words and phones with their times, from Praat TextGrids or from tables of word timings."""

import math
import re
import sys
from pathlib import Path

from voxscale.dataset.textgrid import Tier, TimedLabel, glance, read_tiers
from voxscale.errors import UserError
from voxscale.io import decimal_hint, read_rows

# Silence, breath, laughter, lip smack, noise and sentence marks of ds003020's transcripts, and the silence
# and spoken-noise marks of the usual forced aligners.
_MARKS = frozenset({"sp", "br", "lg", "ls", "ns", "sentence_start", "sentence_end", "sil", "spn"})
_MISSING = frozenset({"n/a", "na", "nan", ""})  # times, as BIDS, R and pandas write them
# Times are written with about 10 ms of precision; a larger overlap means a broken file.
_OVERLAP_S = 0.05


def _is_mark(label: str) -> bool:
    """Whether a label is a silence, a breath or a noise instead of something spoken."""
    bare = label.strip()
    if not bare or bare.lower() in _MARKS:
        return True
    return (bare[0], bare[-1]) in {("{", "}"), ("<", ">"), ("[", "]")}


def _is_called(kind: str, name: str) -> bool:
    """Whether a tier is called `word`, `words` or `speaker - words` (phone, phoneme), in any case."""
    names = {"word": {"word", "words"}, "phone": {"phone", "phones", "phoneme", "phonemes"}}[kind]
    return (re.findall(r"[a-z]+", name.lower()) or [""])[-1] in names


def _tier(path: Path, tiers: list[Tier], kind: str) -> list[TimedLabel] | None:
    matching = [tier for tier in tiers if _is_called(kind, tier.name)]
    if len(matching) > 1:
        names = ", ".join(tier.name for tier in matching)
        raise UserError(f"{path}: tiers {names} are all called {kind}; keep one of them or rename the others")
    return matching[0].intervals if matching else None


def has_phones(path: str | Path) -> bool:
    """Whether a transcript is a TextGrid with a tier of phones that holds some; quick, nothing is checked.

    Raises:
        UserError: the TextGrid is missing, or the file is none.
    """
    path = Path(path)
    return not _is_table(path) and any(
        _is_called("phone", name) and not all(map(_is_mark, labels)) for name, labels in glance(path)
    )


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".tsv"


def _spoken(where: str, intervals: list[TimedLabel]) -> list[TimedLabel]:
    """Intervals with speech, in order, their times checked."""
    spoken: list[TimedLabel] = []
    for interval in intervals:
        onset_s, offset_s, label = interval
        if _is_mark(label):
            continue
        if not math.inf > offset_s > onset_s >= 0:
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


def _read_textgrid(path: Path) -> tuple[list[TimedLabel], list[TimedLabel]]:
    tiers = read_tiers(path)
    words, phones = _tier(path, tiers, "word"), _tier(path, tiers, "phone")
    if words is None:
        names = ", ".join(tier.name for tier in tiers) or "none"
        raise UserError(f"{path}: has no tier called word (interval tiers: {names}); rename the word tier")
    if coded := [interval.label for interval in words if re.search(r"\\\S\S", interval.label)]:
        raise UserError(
            f"{path}: tier word has {coded[0]}, with Praat's code for a special character; "
            "run Convert to Unicode in Praat and save it again"
        )
    return _words(f"{path}: tier word", words), _spoken(f"{path}: tier phone", phones or [])


def _seconds(path: Path, number: int, row: dict[str, str], column: str) -> float | None:
    """A time of a word table; None where it is not known."""
    if row[column].strip().lower() in _MISSING:
        return None
    try:
        return float(row[column])
    except ValueError:
        raise UserError(
            f"{path}: line {number} has {column} {row[column]!r}; it must be seconds"
            + decimal_hint(row[column])
        ) from None


def _read_word_table(path: Path, untimed: str) -> list[TimedLabel]:
    """Words of a tab-separated table with columns `onset`, `duration` (seconds) and `word`, as BIDS has it.

    Raises:
        UserError: the table is malformed, has no words, words without times, or times out of order.
    """
    rows = read_rows(path, ("onset", "duration", "word"))
    intervals, without = [], []
    for number, row in enumerate(rows, start=2):
        onset_s, duration_s = (_seconds(path, number, row, column) for column in ("onset", "duration"))
        label = "" if row["word"] == "n/a" else row["word"]
        if onset_s is not None and duration_s:
            intervals.append(TimedLabel(onset_s, onset_s + duration_s, label))
        elif not _is_mark(label):
            without.append(number)
    if without:
        lines = ", ".join(map(str, without[:5])) + (", ..." if len(without) > 5 else "")
        what = f"{len(without)} of {len(rows)} rows have a word without an onset or a duration (line {lines})"
        if untimed != "skip":
            raise UserError(
                f"{path}: {what}; write both in seconds, take the rows out, or skip them by config key "
                "dataset.untimed_words: skip"
            )
        print(f"WARNING {path}: {what}; they are skipped", file=sys.stderr)
    return _words(str(path), intervals)


def read_transcript(path: str | Path, untimed: str = "refuse") -> tuple[list[TimedLabel], list[TimedLabel]]:
    """Words and phones of a TextGrid or, by the ending `.tsv`, of a table of word timings.

    Args:
        untimed: `refuse` or `skip` words of a table without an onset or a duration.

    Returns:
        Words, and phones (none if there is no phone tier), in order of time, without silences and noises.

    Raises:
        UserError: the file is missing, damaged or cut off, has no words, or times that cannot be.
    """
    path = Path(path)
    return (_read_word_table(path, untimed), []) if _is_table(path) else _read_textgrid(path)
