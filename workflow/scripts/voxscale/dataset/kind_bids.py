"""NIfTI images of a BIDS derivative, with word timings as tables."""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from voxscale.dataset.base import fill_subject
from voxscale.dataset.bids import ENTITIES, entities_of, natural, sidecar_tr_s
from voxscale.dataset.geometry import Geometry, Volume
from voxscale.dataset.kind_own import OwnData, some_of
from voxscale.dataset.response_files import header_tr_s, mask_voxels
from voxscale.errors import UserError, hint

_SAME_TR = 0.005  # relative; over 300 TRs of 2 s it adds up to 3 s


class _Images(NamedTuple):
    """BOLD images of one subject: those of each story, run by run, and files that are not read."""

    stories: dict[str, list[Path]]
    not_read: list[str]


class BidsDataset(OwnData):
    """NIfTI images of a BIDS derivative; the task label is the story, runs of one task are its repeats.

    sub-<subject>/[ses-*/]func/*_task-<story>[_run-<n>]*_bold.nii[.gz] · stimuli/<story>.tsv (onset, duration,
    word) and .wav · trs.tsv with columns story, n_tr, onset_s · a mask for each subject

    A task of `dataset.bids.sections` is divided into sections, each of them a story `<task>_run-<n>`.
    """

    kind = "bids"

    @property
    def _bids(self) -> dict[str, Any]:
        return self.config.get("bids") or {}

    @cached_property
    def tr_s(self) -> float:
        """TR by the sidecars, else `dataset.tr_s`; no header of an image without a sidecar may contradict it.

        Raises:
            UserError: the files contradict each other or the config, or say nothing.
        """
        given = self.config.get("tr_s")
        images = [path for subject in self.subjects for path in self.responses(subject)]
        beside = {path: sidecar_tr_s(path, self.root) for path in images}
        sidecars = list(filter(None, beside.values()))
        headers = [(tr_s, path) for path in images if not beside[path] and (tr_s := header_tr_s(path))]
        stated = [*sidecars, *headers]
        for tr_s, path in stated:
            if not math.isclose(tr_s, stated[0][0], rel_tol=_SAME_TR):
                raise UserError(
                    f"{path}: states a TR of {tr_s:g} s, {stated[0][1]} one of {stated[0][0]:g} s; a study "
                    "has one TR: correct one (a sidecar's RepetitionTime decides), or leave stories out"
                )
        if given is None and not sidecars:
            header = f" (by its header {stated[0][1].name} has {stated[0][0]:g} s)" if stated else ""
            raise UserError(
                "config key dataset.tr_s: is missing, and no sidecar of the images has a RepetitionTime; "
                f"give the length of a TR in seconds{header}"
            )
        if given and stated and not math.isclose(given, stated[0][0], rel_tol=_SAME_TR):
            raise UserError(
                f"config key dataset.tr_s: {given:g} s, but {stated[0][1]} states {stated[0][0]:g} s; "
                "correct the key, or write the RepetitionTime into a sidecar, which decides"
            )
        return sidecars[0][0] if sidecars else given

    @cached_property
    def _images(self) -> dict[str, _Images]:
        found = {subject: self._images_of(subject) for subject in self.subjects}
        images = (path for one in found.values() for runs in one.stories.values() for path in runs)
        tasks = sorted({entities_of(path)["task"] for path in images})
        if unknown := sorted(self._bids.get("sections", {}).keys() - set(tasks)):
            raise UserError(
                f"config key dataset.bids.sections: no image has task {unknown[0]}; {hint(unknown[0], tasks)}"
            )
        return found

    def _images_of(self, subject: str) -> _Images:
        folder = self.root / self._label(subject)
        if not folder.is_dir():
            there = sorted(path.name for path in self.root.glob("sub-*/"))
            raise UserError(
                f"config key dataset.subjects: {folder} is not a folder; correct the name or dataset.root "
                f"({hint(folder.name, there, listed=True)})"
            )
        given = {key: value for key, value in self._bids.items() if key in ENTITIES}
        wanted = {key: None if value is None else str(value) for key, value in given.items()}
        files = [*folder.glob("func/sub-*_bold.*"), *folder.glob("ses-*/func/sub-*_bold.*")]
        stories: dict[str, dict[tuple[str | None, ...], Path]] = {}
        seen, not_read = {}, []
        for path in sorted(files, key=lambda path: natural(path.name)):
            entities = entities_of(path)
            if not path.name.endswith((".nii", ".nii.gz")):
                not_read += [] if path.suffix == ".json" else [path.name]
                continue
            if "task" not in entities:
                continue
            story, run = self._story(path), (entities.get("ses"), entities.get("run"))
            seen.setdefault((story, run), path.name)
            if any(entities.get(key) != value for key, value in wanted.items()):
                continue
            same = stories.setdefault(story, {})
            if run in same:
                raise UserError(self._ambiguous(path, same[run]))
            same[run] = path
        if not stories:
            which = " ".join(f"{key}-{value}" for key, value in wanted.items())
            raise UserError(f"{folder}: has no BOLD image {which}; check config key dataset.bids")
        not_read += [name for (story, run), name in seen.items() if run not in stories.get(story, ())]
        return _Images({story: list(runs.values()) for story, runs in stories.items()}, not_read)

    def _story(self, image: Path) -> str:
        entities = entities_of(image)
        story = task = entities["task"]
        for key in self._bids.get("sections", {}).get(task, ()):
            if key not in entities:
                raise UserError(
                    f"{image}: has no {key}-<label> in its name; by config key dataset.bids.sections the "
                    f"{key} labels tell the sections of {task} apart"
                )
            story += f"_{key}-{entities[key]}"
        return story

    @staticmethod
    def _ambiguous(image: Path, other: Path) -> str:
        one, two = entities_of(image), entities_of(other)
        differing = [key for key in ENTITIES if one.get(key) != two.get(key)]
        keys = " or ".join(f"dataset.bids.{key}" for key in differing)
        remedy = f"pick one by config key {keys}" if differing else "leave one of them there"
        return f"{image}: is the same run as {other.name}; {remedy}"

    @staticmethod
    def _label(subject: str) -> str:
        return subject if subject.startswith("sub-") else f"sub-{subject}"

    def recorded(self, subject: str) -> list[str]:
        return sorted(self._images[subject].stories, key=natural)

    def transcript(self, story: str) -> Path:
        return self.root / f"stimuli/{story}.tsv"

    def audio(self, story: str) -> Path:
        return self.root / f"stimuli/{story}.wav"

    def response(self, subject: str, story: str) -> list[Path]:
        return list(self._images[subject].stories[story])

    def _not_read(self, subject: str) -> Iterator[str]:
        if names := self._images[subject].not_read:
            yield (
                f"{self.root / self._label(subject)}: {some_of(names)} not read; responses are NIfTI images "
                "with the entities of config key dataset.bids."
            )

    def mask(self, subject: str) -> Path:
        if not (pattern := self._bids.get("mask")):
            raise UserError(
                "config key dataset.bids.mask: is missing; give a NIfTI mask, with {subject} in its path"
            )
        # ASSUME: one mask for all runs of a subject, so that a voxel is the same voxel in every story.
        path = Path(fill_subject(pattern, self._label(subject), "dataset.bids.mask"))
        return path if path.is_absolute() else self.root / path

    def geometry(self, subject: str) -> Geometry:
        inside, affine = mask_voxels(self.mask(subject))
        return Volume(str(self._bids.get("space") or ""), inside, affine)

    def check(self) -> None:
        super().check()
        if self.config.get("keep") == "none":
            raise UserError(
                "config key dataset.keep: images are read whole, so a copy must be kept; use float32"
            )
        for subject in self.subjects:
            if not (path := self.mask(subject)).exists():
                raise UserError(
                    f"{path}: no such file; config key dataset.bids.mask must name a mask of {subject}"
                )
