"""Whether a story's words, its sound and its scans fit each other."""

import filecmp
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from voxscale.dataset.clock import Clock
from voxscale.dataset.transcripts import TimedLabel
from voxscale.errors import UserError
from voxscale.io import require_sound_size

_FEW = 0.01  # share of the words that is said
_NOTHING = 0.1  # share of the words below which nothing useful is left
_FAR_S = 15.0  # scans go on for 10 s or so after a story, until the response has faded


def fit_of_words(path: str | Path, words: Sequence[TimedLabel], clock: Clock) -> list[str]:
    """What a user should know of the times of words and scans: a line each.

    Args:
        path: the transcript, for the lines.

    Raises:
        UserError: hardly any word lies in the scans, as with times in milliseconds.
    """
    first_s, last_s = float(clock.onset_s[0]), float(clock.onset_s[-1]) + clock.tr_s
    remedy = "check its times, config key dataset.tr_s and the table of TRs"
    place = f"outside the scans ({first_s:g} to {last_s:g} s)"
    found = _strays(path, [not first_s <= word.onset_s < last_s for word in words], place, remedy)
    words_s, scans_s = max(word.offset_s for word in words), last_s - clock.tr_s * clock.after
    if not scans_s - _FAR_S <= words_s <= last_s + _FAR_S:
        found.append(
            f"{path}: its last word ends at {words_s:g} s, its scans end at {scans_s:g} s "
            f"({clock.n_response} TRs of {clock.tr_s:g} s); check dataset.tr_s and the table of TRs."
        )
    return found


def _strays(path: str | Path, outside: Sequence[bool], place: str, remedy: str) -> list[str]:
    """A line on words that are not where they should be, if they are many; an error if nearly all are not."""
    what = f"{sum(outside)} of {len(outside)} words lie {place}"
    if sum(outside) > (1 - _NOTHING) * len(outside):
        raise UserError(f"{path}: {what}; {remedy}")
    return [f"{path}: {what}."] if sum(outside) >= _FEW * len(outside) else []


def copies(files: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Files with the bytes of an earlier one, and that one; two files are read up to where they differ."""
    seen: dict[int, list[Path]] = {}
    for path in files:
        same_size = seen.setdefault(path.stat().st_size, [])
        if same := [other for other in same_size if filecmp.cmp(path, other, shallow=False)]:
            yield path, same[0]
        else:
            same_size.append(path)


def fit_of_sound(path: str | Path, words: Sequence[TimedLabel], clock: Clock) -> list[str]:
    """What a user should know of a sound next to its story's words and scans: a line each.

    Raises:
        UserError: hardly any word lies in the sound, or it states a length that it cannot have.
    """
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError):
        return []  # its fault is reported where it is read
    require_sound_size(path, info.frames, info.samplerate)
    sound_s = info.duration
    place, remedy = f"behind its end ({sound_s:g} s)", "check whether it is the sound of this story"
    found = _strays(path, [word.onset_s >= sound_s for word in words], place, remedy)
    scans_s = float(clock.onset_s[-1]) + clock.tr_s * (1 - clock.after)
    if not scans_s - _FAR_S <= sound_s <= scans_s + clock.tr_s * clock.after + _FAR_S:
        found.append(f"{path}: ends at {sound_s:g} s, the story's scans end at {scans_s:g} s.")
    return found
