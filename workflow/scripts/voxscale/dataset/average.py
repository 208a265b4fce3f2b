"""Several subjects whose voxels are at the same places: the condition, and the mean of their responses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxscale.dataset.base import Dataset
from voxscale.dataset.geometry import Geometry
from voxscale.dataset.images import Reading
from voxscale.dataset.response_files import (
    ResponseHeader,
    StoryResponses,
    open_responses,
    read_response_header,
)
from voxscale.dataset.responses import SubjectResponses, read_columns
from voxscale.dataset.voxels import read_voxels
from voxscale.errors import UserError
from voxscale.timeseries import zscore

ONE_SPACE = "what is across subjects needs responses in one space: fsaverage5, or MNI with one grid and mask"


def require_common(group: Sequence[SubjectResponses]) -> None:
    """Make sure that subjects have the same voxels.

    Raises:
        UserError: two differ.
    """
    first = group[0]
    for other in group[1:]:
        if not np.array_equal(other.voxels, first.voxels):
            raise UserError(
                f"{other.path}: has {other.n_voxels} voxels, {first.path.name} {first.n_voxels}, or others; "
                f"{ONE_SPACE}"
            )


class Member(NamedTuple):
    """Response files of one subject of an average, by story, and how they are read if they are images."""

    sources: Mapping[str, Sequence[str | Path]]
    reading: Reading | None = None


def common_headers(
    group: Sequence[Member], headers: Sequence[Mapping[str, ResponseHeader]]
) -> dict[str, ResponseHeader]:
    """What the mean of several subjects holds of each story: repeats only where all have as many.

    Raises:
        UserError: voxels differ between subjects.
    """
    first, found = group[0], dict(headers[0])
    for member, stories in zip(group[1:], headers[1:], strict=True):
        for story, header in stories.items():
            same = header.n_voxels == found[story].n_voxels
            if same and header.geometry and (geometry := found[story].geometry):
                same = header.geometry.same_as(geometry)
            if not same:
                raise UserError(
                    f"{member.sources[story][0]}: has {header.n_voxels} voxels, {first.sources[story][0]} "
                    f"{found[story].n_voxels}, or others; {ONE_SPACE}"
                )
            if header.n_repeats != found[story].n_repeats:
                found[story] = found[story]._replace(n_repeats=0)
    return found


def mean_responses(group: Sequence[Member], story: str, n_repeats: int) -> StoryResponses:
    """Mean over subjects of one story's responses, z-scored over its TRs in each subject and voxel.

    A repeat is scaled as its subject's mean of repeats is, so that their mean remains the story's responses.
    A voxel is NaN if it has a missing value, or never changes, in any subject.

    Args:
        n_repeats: that each subject has; 0 for a mean without repeats.

    Returns:
        Responses of all voxels of the files, float32, in memory.
    """
    data, repeats = np.float32(0), np.float32(0)
    for sources, reading in group:
        with open_responses(sources[story], reading) as own:
            everything = np.arange(own.data.shape[1])
            values = read_columns(own.data, everything)
            scaled = zscore(values)
            scaled[:, ~scaled.any(axis=0)] = np.nan
            data = data + scaled / np.float32(len(group))
            if n_repeats:
                # One repeat at a time: z-scores are in float64 until they are done.
                each = (read_columns(own.repeats[i], everything) for i in range(n_repeats))
                scaled = np.stack([zscore(one, reference=values) for one in each])
                repeats = repeats + scaled / np.float32(len(group))
    return StoryResponses(data, repeats if n_repeats else None)


class Averaged(Dataset):
    """A dataset whose one target is the mean of its subjects, in a class with one of the kinds after it.

    It has the stories that all of them heard; places and regions of its voxels are those of the first.
    """

    def __init__(self, config: Mapping[str, Any], markers: str | Path) -> None:
        super().__init__(config, markers)
        self.average: str = config["average"]
        self.targets = (self.average,)
        key, test = "config key dataset.average", config["test_stories"]
        if self.average in self.subjects:
            raise UserError(f"{key}: {self.average} is in dataset.subjects; give the mean another name")
        if len(self.subjects) < 2:
            raise UserError(f"{key}: a mean needs two subjects; add some to dataset.subjects")
        if config.get("keep") == "none":
            raise UserError("config key dataset.keep: a mean must be kept (dataset.average); use float32")
        if isinstance(test, Mapping) and "folds" not in test and set(test) != {self.average}:
            raise UserError(
                "config key dataset.test_stories: dataset.average has one subject, the mean; give one list"
            )

    def members(self, subject: str) -> tuple[str, ...]:
        return self.subjects if subject == self.average else super().members(subject)

    def recorded(self, subject: str) -> list[str]:
        if subject != self.average:
            return super().recorded(subject)
        usable = [self._usable(member) for member in self.subjects]
        return [story for story in usable[0] if all(story in stories for stories in usable)]

    def _role(self, subject: str) -> tuple[list[str], list[list[str]]]:
        return super()._role(self.average)  # of each member those stories are used that the mean is of

    def response(self, subject: str, story: str) -> list[Path]:
        each = (super(Averaged, self).response(member, story) for member in self.members(subject))
        return [path for files in each for path in files]

    def companions(self, subject: str) -> list[Path]:
        each = (super(Averaged, self).companions(member) for member in self.members(subject))
        return list(dict.fromkeys(path for files in each for path in files))

    def has_repeats(self, subject: str) -> bool:
        return all(map(super().has_repeats, self.members(subject)))

    def reading(self, subject: str) -> Reading | None:
        return super().reading(self.members(subject)[0])

    def geometry(self, subject: str) -> Geometry | None:
        return super().geometry(self.members(subject)[0])

    def places(self, subject: str) -> dict[str, Any] | None:
        return super().places(self.members(subject)[0])

    def place_inputs(self, subject: str) -> list[Path]:
        return super().place_inputs(self.members(subject)[0])

    def voxels(self, subject: str) -> Path | None:
        # Without a table of the user's, the one that rule `place_voxels` makes of the mean.
        return super().voxels(self.members(subject)[0] if self.config.get("voxels") else subject)

    @property
    def notes(self) -> list[str]:
        note = (
            f"{self.average} is the mean of {', '.join(self.subjects)}: of their responses to each story "
            "that all heard, z-scored within story and voxel. The study has no other subject."
        )
        return [note, *super().notes]

    def examine(self) -> list[str]:
        found = super().examine()
        stories = self.heard(self.average)
        group = [
            Member({story: self.response(member, story) for story in stories}, self.reading(member))
            for member in self.subjects
        ]
        common_headers(
            group,
            [
                {story: read_response_header(files, reading) for story, files in sources.items()}
                for sources, reading in group
            ],
        )
        if self.config.get("voxels"):
            first, *others = (self.voxels(member) for member in self.subjects)
            for other in others:
                if _kept(other) != _kept(first):
                    raise UserError(
                        f"{other}: its column keep is not that of {first}; a mean "
                        "(dataset.average) needs the same voxels of all subjects"
                    )
        return found


def _kept(table: Path | None) -> dict[int, Any]:
    return {voxel: row["keep"] for voxel, row in read_voxels(table).items()}
