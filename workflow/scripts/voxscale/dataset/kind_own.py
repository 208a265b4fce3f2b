"""A lab's own data: what both of its kinds share, and a folder of transcripts and arrays."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from voxscale.dataset.base import Dataset
from voxscale.dataset.bids import natural
from voxscale.dataset.examine import copies, fit_of_sound, fit_of_words
from voxscale.dataset.preparation import survey
from voxscale.dataset.response_files import RESPONSE_SUFFIXES, read_response_header
from voxscale.dataset.stories import check_twins, twins
from voxscale.dataset.transcripts import has_phones, read_transcript
from voxscale.dataset.voxels import COLUMNS_READ, kept_voxels, unread_columns
from voxscale.errors import UserError, hint
from voxscale.io import read_rows, require


def some_of(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


class OwnData(Dataset):
    """What both kinds share."""

    @cached_property
    def tr_s(self) -> float:
        if "tr_s" not in self.config:
            raise UserError("config key dataset.tr_s: is missing; give the length of a TR in seconds")
        return self.config["tr_s"]

    @property
    def clocks(self) -> Path:
        return self.root / "trs.tsv"

    def has_phones(self, story: str) -> bool:
        return has_phones(self.transcript(story))

    @abstractmethod
    def _not_read(self, subject: str) -> Iterator[str]:
        """A sentence on each group of a subject's files that look like responses and are not read."""

    @property
    def notes(self) -> list[str]:
        found = [note for subject in self.subjects for note in self._not_read(subject)]
        for subject in self.subjects:
            recorded = self.recorded(subject)
            if lacking := [story for story in self.stories if story not in recorded]:
                found.append(f"{subject} has no responses to {some_of(lacking)}.")
        heard = {story for subject in self.subjects for story in self.recorded(subject)}
        if unheard := [story for story in self.all_clocks if story not in heard]:
            found.append(f"{self.clocks}: no subject of the config has responses to {some_of(unheard)}.")
        return found

    def examine(self) -> list[str]:
        found, spoken = [], {}
        for story in self.stories:
            words, _ = read_transcript(self.transcript(story), self.config.get("untimed_words", "refuse"))
            spoken[story] = words
            found += fit_of_words(self.transcript(story), words, self.clock(story))
            if self.has_sound(story):
                found += fit_of_sound(self.audio(story), words, self.clock(story))
        same = twins(spoken)
        for subject in self.subjects:
            check_twins(same, self.training(subject), self.folds(subject))
        found += [
            f"{one} and {two} have the same words; check that they are two stories." for one, two in same
        ]
        files = [path for subject in self.subjects for path in self.responses(subject)]
        files += [self.audio(story) for story in self.stories if self.has_sound(story)]
        found += [f"{one}: has the same bytes as {two}; check which is right." for one, two in copies(files)]
        for subject in self.subjects:
            sources = {story: self.response(subject, story) for story in self.heard(subject)}
            shapes = survey(sources, self.clocks, self.reading(subject))
            if self.config.get("voxels") and (table := self.voxels(subject)):
                kept_voxels(table, next(iter(shapes.values())).n_voxels)
                if ignored := unread_columns(read_rows(table, ("voxel",))):
                    found.append(f"{table}: column {some_of(ignored)} not read; {COLUMNS_READ}.")
        return found

    def has_repeats(self, subject: str) -> bool:
        for story in self.test(subject):
            try:
                if read_response_header(self.response(subject, story), self.reading(subject)).n_repeats > 1:
                    return True
            except UserError:  # the job that reads it reports the mistake
                return True
        return False

    def check(self) -> None:
        super().check()
        for subject in self.subjects:
            for path in self.responses(subject):
                require(path, "response")


class FolderDataset(OwnData):
    """A lab's own folder.

    words/<story>.TextGrid or .tsv · sounds/<story>.wav · responses/<subject>/<story>.{hf5,h5,hdf5,npy,npz} ·
    trs.tsv with columns story, n_tr, onset_s
    """

    kind = "folder"
    transcripts_end_in = (".tsv", ".TextGrid")

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        found = {}
        for subject in self.subjects:
            folder = self.root / "responses" / subject
            if not folder.is_dir():
                there = [path.name for path in folder.parent.glob("[!.]*/")]
                raise UserError(
                    f"config key dataset.subjects: {folder} is not a folder; put the responses of {subject} "
                    f"there, or correct the name ({hint(subject, sorted(there), listed=True)})"
                )
            # macOS adds a file `._<name>` to each file that it copies to a disk of another system.
            found[subject] = sorted(folder.glob("[!.]*"), key=lambda path: natural(path.name))
        return found

    @cached_property
    def _responses(self) -> dict[str, dict[str, Path]]:
        found: dict[str, dict[str, Path]] = {}
        for subject, files in self._files.items():
            stories = found[subject] = {}
            for path in files:
                if path.suffix.lower() not in RESPONSE_SUFFIXES:
                    continue
                if path.stem in stories:
                    raise UserError(
                        f"{path}: {path.stem} is also in {stories[path.stem].name}; leave one of them there"
                    )
                stories[path.stem] = path
        return found

    def recorded(self, subject: str) -> list[str]:
        return sorted(self._responses[subject], key=natural)

    def transcript(self, story: str) -> Path:
        table = self.root / f"words/{story}.tsv"
        return table if os.path.lexists(table) else self.root / f"words/{story}.TextGrid"

    def audio(self, story: str) -> Path:
        return self.root / f"sounds/{story}.wav"

    def response(self, subject: str, story: str) -> list[Path]:
        return [self._responses[subject][story]]

    def _not_read(self, subject: str) -> Iterator[str]:
        read = self._responses[subject].values()
        if ignored := [path.name for path in self._files[subject] if path not in read]:
            folder, known = self.root / "responses" / subject, ", ".join(RESPONSE_SUFFIXES)
            yield f"{folder}: {some_of(ignored)} not read; files of responses end in {known}."

    @property
    def notes(self) -> list[str]:
        twice = [
            f"{self.transcript(story)}: is read, {story}.TextGrid beside it is not."
            for story in self.stories
            if self.transcript(story).suffix == ".tsv"
            and self.transcript(story).with_suffix(".TextGrid").exists()
        ]
        return [*super().notes, *twice]
