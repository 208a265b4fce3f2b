"""Tables of words, phones and the TR clock of each story, and of the stories of each subject."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.dataset.clock import read_clocks
from voxscale.dataset.examine import fit_of_words
from voxscale.dataset.roles import check_roles, roles_of, training_of
from voxscale.dataset.transcripts import TimedLabel, read_transcript
from voxscale.errors import UserError
from voxscale.io import sha256_text, tables

_SAME_S = 0.05  # two aligners' times of one word


def _rows(story: str, name: str, intervals: Sequence[TimedLabel]) -> list[dict[str, Any]]:
    return [
        {"story": story, "index": i, name: label, "onset_s": onset_s, "offset_s": offset_s}
        for i, (onset_s, offset_s, label) in enumerate(intervals)
    ]


def write_story_tables(
    transcript: str | Path,
    clocks: str | Path,
    story: str,
    words: str | Path,
    phones: str | Path,
    clock: str | Path,
    tr_s: float = 2.0,
    trim: Sequence[int] = (10, 5),
    untimed: str = "refuse",
    timing: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write one story's tables of words, phones and clock.

    Args:
        transcript: a TextGrid, or a table of word timings (`.tsv`).
        clocks: the dataset's `respdict.json` or TR table; see `voxscale.dataset.clock.read_clocks`.
        words, phones, clock: files to write.
        tr_s: length of a TR in seconds.
        trim: clock TRs in front of and behind the responses.
        untimed: `refuse` or `skip` words of a table without times.
        timing: further arguments of `read_clocks`.

    Raises:
        UserError: the transcript or the TR count is wrong.
    """
    story_clock = read_clocks(clocks, tr_s, trim, **(timing or {}))[story]
    spoken, sounds = read_transcript(transcript, untimed)
    for line in fit_of_words(transcript, spoken, story_clock):
        print(f"WARNING {line}", file=sys.stderr)
    tables.write("words", _rows(story, "word", spoken), words, provenance)
    tables.write("phones", _rows(story, "phone", sounds), phones, provenance)
    tables.write("clock", story_clock.columns(story), clock, provenance)


def stimulus_sha(words: pa.Table, clock: pa.Table) -> str:
    """Digest (16 hex digits) of the words and TR times, independent of the story's name."""
    content = [words[name].to_pylist() for name in ("word", "onset_s", "offset_s")]
    content += [clock[name].to_pylist() for name in ("onset_s", "in_response")]
    return sha256_text(repr(content))[:16]


def twins(words: Mapping[str, Sequence[TimedLabel]]) -> list[tuple[str, str]]:
    """Pairs of stories with the same words at the same times from the first word on.

    Args:
        words: story -> its words. Their scans may differ: a story is the same whatever its number of TRs.
    """
    labels = {story: [word.label for word in heard] for story, heard in words.items()}
    onsets_s = {
        story: np.array([word.onset_s - heard[0].onset_s for word in heard]) for story, heard in words.items()
    }
    return [
        (one, two)
        for one, two in combinations(words, 2)
        if labels[one] == labels[two] and np.abs(onsets_s[one] - onsets_s[two]).max() < _SAME_S
    ]


def check_twins(
    pairs: Iterable[tuple[str, str]], training: Sequence[str], folds: Sequence[Sequence[str]]
) -> None:
    """Refuse one subject's test story that is a training story of its fold under another name.

    Raises:
        UserError: the line names both.
    """
    remedy = "leave one out" + (", or name the folds and put both into one" if len(folds) > 1 else "")
    for pair, fold in product(pairs, folds):
        tested = set(pair) & set(fold)
        if tested and (trained := set(pair) & set(training_of(training, fold))):
            raise UserError(
                f"config key dataset.training_stories: {trained.pop()} is test story {tested.pop()} under "
                f"another name: their words are the same; {remedy}"
            )


def _labels(words: pa.Table) -> list[TimedLabel]:
    columns = (words[name].to_pylist() for name in ("onset_s", "offset_s", "word"))
    return list(map(TimedLabel, *columns))


def _by_story(name: str, paths: Iterable[str | Path]) -> dict[str, pa.Table]:
    found = (tables.read(name, path) for path in paths)
    return {table["story"][0].as_py(): table for table in found}


def describe_subject(
    subject: str,
    training: Sequence[str],
    folds: Sequence[Sequence[str]],
    words: Iterable[str | Path],
    clocks: Iterable[str | Path],
    path: str | Path,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write what one subject heard: table `subjects`, training stories first, each in the dataset's order.

    Args:
        training: the subject's own training stories, of all folds.
        folds: its test stories of each fold.
        words, clocks: files of the tables `words` and `clock`, one a story, in any order.
        path: file to write.

    Raises:
        UserError: a story is in both roles, by name or because two names stand for the same words.
    """
    for fold in folds:
        check_roles(subject, training_of(training, fold) if len(folds) > 1 else training, fold)
    word_tables, clock_tables = _by_story("words", words), _by_story("clock", clocks)
    rows, roles = [], roles_of(training, folds)
    for story, role in roles.items():
        heard, clock = word_tables[story], clock_tables[story]
        n_tr = sum(clock["in_response"].to_pylist())
        onset_s = clock["onset_s"].to_pylist()
        row = {
            "subject": subject,
            "story": story,
            "role": role,
            "n_tr": n_tr,
            "hours": n_tr * (onset_s[1] - onset_s[0]) / 3600,
            "n_words": heard.num_rows,
            "stimulus_sha": stimulus_sha(heard, clock),
        }
        rows.append(row)
    spoken = {story: _labels(word_tables[story]) for story in roles}
    check_twins(twins(spoken), training, folds)
    tables.write("subjects", rows, path, provenance)
