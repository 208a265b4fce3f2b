"""The stimulus clock: which TRs of a story have features, and which of them the responses keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import decimal_hint, read_json, read_rows, require

# respdict.json counts the TRs before trimming; the published responses lack 10 at each end (ds003020).
_RESPDICT_DROPPED = 20
# Its first kept response TR starts 10 s after the sound, whose first TR is row 5 of the untrimmed run.
_RESPDICT_ONSET_S = 10.0
# A day of scans of a second each: more is a typing error, and memory would be planned for it.
_MOST_TRS = 86_400


@dataclass(frozen=True)
class Clock:
    """The TRs of one story, relative to its sound.

    The clock has `before` TRs in front of the first response TR and `after` behind the last, as that of
    ds003020, whose published responses lack them. Features are made for all TRs, then cut to those of the
    responses before they are z-scored and delayed, as in the published analysis: no delay reaches
    features of what was heard before a story's first response TR.

    Attributes:
        n_response: response TRs of the story.
        response_onset_s: start of the first response TR after the start of the sound, in seconds.
        tr_s: length of a TR in seconds.
        before, after: clock TRs in front of and behind the responses (`dataset.trim`).
    """

    n_response: int
    response_onset_s: float
    tr_s: float = 2.0
    before: int = 10
    after: int = 5

    def __len__(self) -> int:
        return self.before + self.n_response + self.after

    @property
    def onset_s(self) -> np.ndarray:
        """(clock TRs,) start of each TR after the start of the sound."""
        return self.response_onset_s + self.tr_s * (np.arange(len(self)) - self.before)

    @property
    def in_response(self) -> np.ndarray:
        """(clock TRs,) whether the responses keep the TR."""
        row = np.arange(len(self))
        return (row >= self.before) & (row < self.before + self.n_response)

    def columns(self, story: str) -> dict[str, Any]:
        """Columns of table `clock`."""
        return {
            "story": [story] * len(self),
            "row": np.arange(len(self), dtype=np.int32),
            "onset_s": self.onset_s,
            "mid_s": self.onset_s + self.tr_s / 2,
            "in_response": self.in_response,
        }


def _integer(value: Any, where: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not number.is_integer() or not 1 <= number <= _MOST_TRS or isinstance(value, bool):
        raise UserError(f"{where}: {value!r} is not a number of TRs; it must be whole, from 1 to {_MOST_TRS}")
    return int(number)


def _read_respdict(path: Path) -> dict[str, tuple[int, float]]:
    content = read_json(path)
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: is not a mapping of stories to TRs; fetch it again")
    counts = {}
    for story, value in content.items():
        n_trs = _integer(value, f"{path}: {story}")
        if n_trs <= _RESPDICT_DROPPED:
            raise UserError(
                f"{path}: {story} has {n_trs} TRs, none left after trimming; correct it or leave it out"
            )
        counts[story] = (n_trs - _RESPDICT_DROPPED, _RESPDICT_ONSET_S)
    return counts


def _read_trs(path: Path) -> dict[str, tuple[int, float]]:
    counts: dict[str, tuple[int, float]] = {}
    for number, row in enumerate(read_rows(path, ("story", "n_tr", "onset_s")), start=2):
        story = row["story"]
        if story in counts:
            raise UserError(f"{path}: line {number} names story {story} again; keep one line for each story")
        try:
            onset_s = float(row["onset_s"])
        except ValueError:
            onset_s = float("nan")
        if not np.isfinite(onset_s):
            raise UserError(
                f"{path}: onset_s of {story} is {row['onset_s']!r}; it must be seconds"
                + decimal_hint(row["onset_s"])
            )
        counts[story] = (_integer(row["n_tr"], f"{path}: line {number}: n_tr of {story}"), onset_s)
    return counts


class Clocks(dict[str, Clock]):
    """The clocks of a table of TRs by story; asking for another story is the user's mistake."""

    def __init__(self, path: Path, clocks: Mapping[str, Clock]) -> None:
        super().__init__(clocks)
        self._path = path

    def __missing__(self, story: str) -> Clock:
        raise UserError(f"{self._path}: has no story {story}; add its TRs or leave the story out")


def read_clocks(
    path: str | Path,
    tr_s: float = 2.0,
    trim: Sequence[int] = (10, 5),
    dummy_scans: int = 0,
    start_time_s: float | None = None,
) -> Clocks:
    """Clocks of all stories that a respdict (`.json`) or a TR table (`.tsv`) lists.

    A respdict holds TRs before trimming, as ds003020 publishes it. A TR table has the columns `story`, `n_tr`
    (response TRs) and `onset_s` (start of the first response TR after the start of the sound).

    Args:
        dummy_scans: TRs at the start of each run that are left out: the story has so many TRs less, and its
            first is later by as much.
        start_time_s: time of each TR, after its start, to which the slices were corrected. Features are those
            at the middle of a TR, so that clocks are moved by what this time is after it. None: the middle.

    Raises:
        UserError: the file is missing or malformed, or a count is impossible; the line names the story.
    """
    path = Path(path)
    require(path, "TR count")
    counts = _read_respdict(path) if path.suffix == ".json" else _read_trs(path)
    if short := [story for story, (n_trs, _) in counts.items() if n_trs <= dummy_scans]:
        raise UserError(f"{path}: {short[0]} has no TR left without {dummy_scans} dummy scans; leave it out")
    later_s = dummy_scans * tr_s + (0.0 if start_time_s is None else start_time_s - tr_s / 2)
    counts = {story: (n_trs - dummy_scans, onset_s + later_s) for story, (n_trs, onset_s) in counts.items()}
    return Clocks(path, {story: Clock(n, onset_s, tr_s, *trim) for story, (n, onset_s) in counts.items()})
