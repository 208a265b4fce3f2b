"""Where a dataset keeps its stories and responses, and who heard what; known before the first job runs.

Paths are relative to the working directory, as the root is given.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from voxscale.dataset.clock import Clock, Clocks, read_clocks
from voxscale.dataset.defects import leaves_out, read_defects
from voxscale.dataset.geometry import Geometry
from voxscale.dataset.images import Reading
from voxscale.dataset.response_files import read_response_header
from voxscale.dataset.roles import assign, check_subjects, named_stories, roles_of, training_of
from voxscale.dataset.voxels import read_places, read_regions
from voxscale.errors import UserError, hint
from voxscale.io import require

NAME_PATTERN = r"[A-Za-z0-9_-]+"  # of subjects and stories, whose names are parts of paths


def fill_subject(pattern: str, subject: str, key: str) -> str:
    """A path of the config with its `{subject}` filled in.

    Raises:
        UserError: the path has other braces.
    """
    filled = pattern.replace("{subject}", subject)
    if "{" in filled or "}" in filled:
        raise UserError(f"config key {key}: {pattern} has braces other than {{subject}}; remove them")
    return filled


class Dataset(ABC):
    """One dataset as the config describes it.

    Args:
        config: the completed config's `dataset` block.
        markers: folder of the files that say a download is complete (`results/dataset`).
    """

    kind: str
    transcripts_end_in: tuple[str, ...] = ()  # where more than one ending is read
    published_defects: Path | None = None

    def __init__(self, config: Mapping[str, Any], markers: str | Path) -> None:
        self.config = config
        self.root = Path(config["root"])
        self.markers = Path(markers)
        self.subjects: tuple[str, ...] = tuple(config["subjects"])
        self.targets = self.subjects  # those whose responses are fitted
        self.trim: tuple[int, int] = tuple(config.get("trim", (10, 5)))

    @property
    def tr_s(self) -> float:
        """Length of a TR in seconds."""
        return self.config.get("tr_s", 2.0)

    @property
    def notes(self) -> list[str]:
        """What the user should know of the dataset by the names of its files, a sentence each."""
        return []

    @property
    def steps(self) -> list[dict[str, str]]:
        """How the workflow made responses from images: a row for each step, none where the lab did."""
        return []

    def examine(self) -> list[str]:
        """What the user should know of the content of the dataset's files, a sentence each.

        It takes seconds: for the start of a run.

        Raises:
            UserError: a file cannot be used.
        """
        return []

    @abstractmethod
    def recorded(self, subject: str) -> list[str]:
        """Stories with responses of `subject`, in the dataset's order, defective ones too."""

    @cached_property
    def defects(self) -> list[dict[str, str]]:
        """Rows of the table `dataset.defects`, see `voxscale.dataset.defects`.

        Raises:
            UserError: the table is missing or malformed.
        """
        return read_defects(self.config.get("defects"), self.published_defects, self.kind)

    def excluded(self, subject: str) -> dict[str, str]:
        """Stories of `subject` that the table of known defects leaves out, and why."""
        return {
            story: row["what"]
            for row in self.defects
            for story in ([row["story"]] if row["story"] != "*" else self.recorded(subject))
            if row["subject"] in (subject, "*") and leaves_out(row)
        }

    @cached_property
    def _roles(self) -> dict[str, tuple[list[str], list[list[str]]]]:
        test, training = self.config["test_stories"], self.config.get("training_stories", "all")
        check_subjects(test, self.targets)
        usable = {subject: self._usable(subject) for subject in self.targets}
        anyone = {story for stories in usable.values() for story in stories}
        for key, wanted in (("test_stories", named_stories(test)), ("training_stories", training)):
            if unknown := [story for story in wanted if wanted != "all" and story not in anyone]:
                who = (
                    "no subject of the config has"
                    if self.targets == self.subjects
                    else "not all subjects have"
                )
                raise UserError(
                    f"config key dataset.{key}: {who} story {unknown[0]}; "
                    f"check its name and the table of known defects ({hint(unknown[0], sorted(anyone))})"
                )
        roles = {}
        for subject, stories in usable.items():
            trained, folds = roles[subject] = assign(subject, stories, test, training)
            self._check_names(subject, [*trained, *(story for fold in folds for story in fold)])
        return roles

    def _usable(self, subject: str) -> list[str]:
        """Stories with responses of `subject`, but for those with known defects."""
        excluded = self.excluded(subject)
        return [story for story in self.recorded(subject) if story not in excluded]

    def _check_names(self, subject: str, stories: list[str]) -> None:
        for story in stories:
            if not re.fullmatch(NAME_PATTERN, story):
                raise UserError(
                    f"{self.response(subject, story)[0]}: {story!r} is not a valid story name; use only "
                    f"letters A to Z, digits, _ and - here, in its other files and in {self.clocks}"
                )

    def _role(self, subject: str) -> tuple[list[str], list[list[str]]]:
        if subject not in self._roles:
            raise UserError(f"config key dataset.subjects: {subject} is not listed; add it")
        return self._roles[subject]

    def training(self, subject: str) -> list[str]:
        """Training stories of `subject`; with folds, those that any fold is trained on.

        Raises:
            UserError: no subject heard a story that the config names, a story is in both roles or has a
                name that cannot be part of a path, or no story exists.
        """
        return list(self._role(subject)[0])

    def test(self, subject: str) -> list[str]:
        """Test stories of `subject`, of all folds; errors as for `training`."""
        held = {story for fold in self._role(subject)[1] for story in fold}
        return [story for story in self.recorded(subject) if story in held]

    def folds(self, subject: str) -> list[list[str]]:
        """Test stories of each fold of `subject`, one list if they are fixed; errors as for `training`.

        A fold is trained on the training stories that it does not test on.
        """
        return [list(fold) for fold in self._role(subject)[1]]

    def n_training(self, subject: str) -> int:
        """Number of training stories of `subject` that every fold has; errors as for `training`."""
        trained, folds = self._role(subject)
        return min(len(training_of(trained, fold)) for fold in folds)

    def heard(self, subject: str) -> list[str]:
        """Training and then test stories of `subject`, each once; errors as for `training`."""
        return list(dict.fromkeys([*self.training(subject), *self.test(subject)]))

    @cached_property
    def stories(self) -> list[str]:
        """Every story that any subject of the config is trained or tested on."""
        return list(dict.fromkeys(story for subject in self.subjects for story in self.heard(subject)))

    def responses(self, subject: str) -> list[Path]:
        """Every file with responses of one subject."""
        return [path for story in self.heard(subject) for path in self.response(subject, story)]

    def story_table(self) -> list[dict[str, str]]:
        """What was used: a row per story, a column per subject.

        A cell says `train`, `test`, `fold 2` (tested on in that fold), `left out`, `not used` (by the config)
        or `–` (no responses), and in brackets the story's known defects; the first row has the defects of all
        stories.
        """
        recorded = {subject: self.recorded(subject) for subject in self.subjects}
        rows = [{"story": "all stories"} | {subject: self._noted(subject, "*") for subject in self.subjects}]
        for story in dict.fromkeys(story for stories in recorded.values() for story in stories):
            row = {"story": story}
            for subject, stories in recorded.items():
                role = roles_of(*self._role(subject)).get(story, "not used")
                role = "left out" if story in self.excluded(subject) else role
                note = self._noted(subject, story)
                row[subject] = (role if story in stories else "–") + (f" ({note})" if note else "")
            rows.append(row)
        return rows if any(rows[0][subject] for subject in self.subjects) else rows[1:]

    def _noted(self, subject: str, story: str) -> str:
        """Known defects of one of a subject's stories, or of all of them (`*`)."""
        return "; ".join(
            row["what"] for row in self.defects if row["story"] == story and row["subject"] in (subject, "*")
        )

    @property
    @abstractmethod
    def clocks(self) -> Path:
        """The table of TRs per story; see `voxscale.dataset.clock.read_clocks`."""

    @abstractmethod
    def transcript(self, story: str) -> Path:
        """The story's TextGrid or table of word timings."""

    @abstractmethod
    def audio(self, story: str) -> Path:
        """The story's sound file."""

    @abstractmethod
    def response(self, subject: str, story: str) -> list[Path]:
        """Files with the responses of one subject to one story; several are repeats."""

    def members(self, subject: str) -> tuple[str, ...]:
        """Subjects whose files the responses of `subject` are made of: itself, but for an average."""
        return (subject,)

    def has_repeats(self, subject: str) -> bool:
        """Whether the subject heard a test story several times, as far as is known before the first job."""
        return True

    def reading(self, subject: str) -> Reading | None:
        """How the subject's images are read; None for arrays."""
        return None

    def companions(self, subject: str) -> list[Path]:
        """Files beside the subject's responses that reading them needs: masks, tables of confounds."""
        return []

    @property
    def timing(self) -> dict[str, Any]:
        """What moves the clocks of the table of TRs: see `voxscale.dataset.clock.read_clocks`."""
        return {}

    def geometry(self, subject: str) -> Geometry | None:
        """Where the columns of the subject's response files lie; None where unknown.

        Images say so themselves, of arrays a voxel table does.
        """
        return read_places(self.voxels(subject), self._n_columns(subject))

    def require_geometry(self, subject: str) -> Geometry:
        """Where the columns of the subject's response files lie.

        Raises:
            UserError: it is not known.
        """
        if (found := self.geometry(subject)) is None:
            raise UserError(
                "config key dataset.voxels: an image needs the place of each voxel, and the responses of "
                f"{subject} are arrays; give a voxel table with columns hemisphere and vertex (fsaverage5), "
                "or the responses as images"
            )
        return found

    def _n_columns(self, subject: str) -> int:
        """Columns of the subject's response files, which are arrays."""
        return read_response_header(self.response(subject, self.heard(subject)[0])).n_voxels

    def geometry_inputs(self, subject: str) -> list[Path]:
        """Files that must exist before `geometry` is asked for."""
        table = None if self.reading(subject) else self.voxels(subject)  # images need none
        return [*self.response_inputs(subject), *filter(None, [table])]

    def voxels(self, subject: str) -> Path | None:
        """Table of the subject's voxels if there is one: the config's, or that of rule `place_voxels`."""
        if not (pattern := self.config.get("voxels")):
            return self.markers.parent / f"voxels/{subject}.tsv" if self.places(subject) else None
        if "{subject}" not in pattern:
            raise UserError(f"config key dataset.voxels: {pattern} must contain {{subject}}; add it")
        return Path(fill_subject(pattern, subject, "dataset.voxels"))

    def has_sound(self, story: str) -> bool:
        """Whether the story's sound exists, or a rule writes or downloads it."""
        return self.audio(story) not in self.audio_inputs(story) or self.audio(story).exists()

    def has_phones(self, story: str) -> bool:
        """Whether the story's transcript has phones; those that a rule writes or downloads do."""
        return True

    def check_sounds(self) -> None:
        """Make sure that the sounds exist whole, which speech models and the `mel` control need.

        Raises:
            UserError: some are missing or cut off; the line names each.
        """
        faults = []
        for story in self.stories:
            path = self.audio(story)
            if not self.has_sound(story):
                faults.append(f"{path}: no such file; add it")
            elif path.exists() and path in self.audio_inputs(story):
                try:
                    require(path, "sound")
                except UserError as error:
                    faults.append(str(error))
        if faults:
            more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise UserError("; ".join(faults[:3]) + more + "; speech models and mel need it")

    def places(self, subject: str) -> dict[str, Any] | None:
        """What rule `place_voxels` needs to find where the subject's voxels are; None where it cannot."""
        return None

    def place_inputs(self, subject: str) -> list[Path]:
        """Files that must exist before rule `place_voxels`."""
        return []

    @property
    def places_voxels(self) -> bool:
        """Whether a rule writes the tables of voxels: their regions and places, not which to fit."""
        return not self.config.get("voxels") and any(map(self.places, self.subjects))

    @property
    def regions(self) -> set[str] | None:
        """Regions of the subjects' voxels; None where a job finds them."""
        if self.places_voxels:
            return None
        tables = map(read_regions, filter(None, map(self.voxels, self.targets)))
        return {region for table in tables for region in table.values()}

    def check_voxels(self) -> None:
        """Make sure that the tables of voxels that the config names exist.

        Raises:
            UserError: one is missing.
        """
        for path in filter(None, map(self.voxels, self.subjects)):
            if not self.places_voxels and not path.is_file():
                raise UserError(
                    f"{path}: no such file; config key dataset.voxels must name a table of each subject"
                )

    def story_inputs(self, story: str) -> list[Path]:
        """Files that must exist before the words of `story` are read."""
        return [self.transcript(story), self.clocks]

    def audio_inputs(self, story: str) -> list[Path]:
        """Files that must exist before the sound of `story` is read."""
        return [self.audio(story)]

    def response_inputs(self, subject: str) -> list[Path]:
        """Files that must exist before the responses of `subject` are read."""
        return [*self.responses(subject), *self.companions(subject), self.clocks]

    def clock(self, story: str) -> Clock:
        """The clock of one story.

        Raises:
            UserError: the story is not in the table of TRs.
        """
        return self.all_clocks[story]

    @cached_property
    def all_clocks(self) -> Clocks:
        """Clocks of all stories of the table of TRs."""
        return read_clocks(self.clocks, self.tr_s, self.trim, **self.timing)

    def n_trs(self, story: str) -> int | None:
        """Response TRs of `story`, or None while the dataset is not written yet."""
        return self.clock(story).n_response

    def check(self) -> None:
        """Make sure that what must exist before the first job does.

        Raises:
            UserError: a file or folder is missing; the line says which and what to do.
        """
        if not self.root.is_dir():
            raise UserError(
                f"config key dataset.root: {self.root} is not a folder; give the dataset's folder"
            )
        for story in self.stories:
            self.clock(story)
        if missing := [story for story in self.stories if not os.path.lexists(self.transcript(story))]:
            path = self.transcript(missing[0])
            others = [missing[0] + ending for ending in self.transcripts_end_in if ending != path.suffix]
            nor = f", nor {' or '.join(others)}" if others else ""
            beside = sorted(other.name for other in path.parent.glob(f"{missing[0]}.*"))
            raise UserError(
                f"{path}: no such file{nor}; {', '.join(missing)} needs a transcript there, or leave it out"
                + (f"; {', '.join(beside)} is not read" if beside else "")
            )
        for story in self.stories:
            require(self.transcript(story), "transcript")
        self.check_voxels()
