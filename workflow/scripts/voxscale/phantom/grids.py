"""Transcripts in Praat's long text format, with a phone tier and a word tier, as in ds003020."""

from pathlib import Path

from praatio import textgrid

from voxscale.dataset import TimedLabel
from voxscale.io import atomic
from voxscale.phantom.speech import Speech

SILENCE = "sp"


def _tier(name: str, spoken: list[TimedLabel], duration_s: float) -> textgrid.IntervalTier:
    """Spoken intervals with the silences between them; silences shorter than 1 ms are left out."""
    entries: list[tuple[float, float, str]] = []
    end = 0.0
    for onset_s, offset_s, label in spoken:
        if onset_s - end >= 1e-3:
            entries.append((end, onset_s, SILENCE))
            end = onset_s
        entries.append((end, offset_s, label))
        end = offset_s
    if duration_s - end >= 1e-3:
        entries.append((end, duration_s, SILENCE))
    return textgrid.IntervalTier(name, entries, minT=0, maxT=duration_s)


def write_textgrid(path: str | Path, speech: Speech) -> None:
    """Write the phones and words of a spoken story as a TextGrid.

    Times are rounded to a microsecond, well below the 63 microseconds of a sample.
    """

    def rounded(intervals: list[TimedLabel]) -> list[TimedLabel]:
        return [TimedLabel(round(x.onset_s, 6), round(x.offset_s, 6), x.label) for x in intervals]

    grid = textgrid.Textgrid()
    for name, intervals in (("phone", speech.phones), ("word", speech.words)):
        grid.addTier(_tier(name, rounded(intervals), round(speech.duration_s, 6)))
    with atomic(path) as temporary:
        grid.save(str(temporary), format="long_textgrid", includeBlankSpaces=True)
