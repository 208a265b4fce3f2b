"""Images of a BIDS derivative, with word timings as tables."""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from voxscale.dataset.base import fill_subject
from voxscale.dataset.bids import ENTITIES, entities_of, natural, sidecar_seconds
from voxscale.dataset.geometry import Geometry
from voxscale.dataset.images import GRAYORDINATES, IMAGES, SURFACES, Reading, header_tr_s
from voxscale.dataset.kind_own import OwnData, some_of
from voxscale.dataset.places import find_surfaces, needed_surfaces
from voxscale.dataset.response_files import read_response_header
from voxscale.errors import UserError, hint

_SAME_TR = 0.005  # relative; over 300 TRs of 2 s it adds up to 3 s


_RunName = tuple[str | None, str | None]  # session and run


class _Images(NamedTuple):
    """BOLD images of one subject: those of each story, run by run, left before right; files not read."""

    stories: dict[str, list[Path]]
    not_read: list[str]


class BidsDataset(OwnData):
    """Images of a BIDS derivative; the task label is the story, runs of one task are its repeats.

    sub-<subject>/[ses-*/]func/*_task-<story>[_run-<n>]*_bold.<end> · stimuli/<story>.tsv (onset, duration,
    word) and .wav · trs.tsv with columns story, n_tr, onset_s · for volumes a mask for each subject

    The end is .nii or .nii.gz for volumes, .func.gii for surfaces (hemi-L and hemi-R), .dtseries.nii for
    grayordinates. A task of `dataset.bids.sections` is divided into sections, each of them a story
    `<task>_run-<n>`.
    """

    kind = "bids"

    @property
    def _block(self) -> dict[str, Any]:
        return self.config.get(self.kind) or {}

    @property
    def _key(self) -> str:
        return f"dataset.{self.kind}"

    @property
    def _folder(self) -> Path:
        """Folder of the subjects' folders."""
        return self.root

    @cached_property
    def tr_s(self) -> float:
        """TR by the sidecars, else `dataset.tr_s`; no header of an image without a sidecar may contradict it.

        Raises:
            UserError: the files contradict each other or the config, or say nothing.
        """
        given = self.config.get("tr_s")
        images = [path for subject in self.subjects for path in self.responses(subject)]
        beside = {path: sidecar_seconds(path, self.root, "RepetitionTime", 0.05, 30) for path in images}
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
        if unknown := sorted(self._block.get("sections", {}).keys() - set(tasks)):
            raise UserError(
                f"config key {self._key}.sections: no image has task {unknown[0]}; {hint(unknown[0], tasks)}"
            )
        return found

    def _images_of(self, subject: str) -> _Images:
        folder = self._folder / self._label(subject)
        if not folder.is_dir():
            there = sorted(path.name for path in self._folder.glob("sub-*/"))
            raise UserError(
                f"config key dataset.subjects: {folder} is not a folder; correct the name or dataset.root "
                f"({hint(folder.name, there, listed=True)})"
            )
        files = [*folder.glob("func/sub-*_bold.*"), *folder.glob("ses-*/func/sub-*_bold.*")]
        stories: dict[str, dict[_RunName, dict[str | None, Path]]] = {}
        seen, there, not_read = {}, set(), []
        for path in sorted(files, key=lambda path: natural(path.name)):
            entities = entities_of(path)
            if not path.name.endswith(IMAGES):
                not_read += [] if path.suffix == ".json" else [path.name]
                continue
            if "task" not in entities:
                continue
            story, run = self._story(path), (entities.get("ses"), entities.get("run"))
            seen.setdefault((story, run), path.name)
            there.add(
                " ".join(f"{key}-{entities[key]}" for key in ENTITIES if key in entities) or "no entity"
            )
            if any(entities.get(key) != value for key, value in self._wanted(path).items()):
                continue
            same = stories.setdefault(story, {}).setdefault(run, {})
            side = entities.get("hemi")
            if same and (side in same or None in (side, *same)):
                raise UserError(self._ambiguous(path, next(iter(same.values()))))
            same[side] = path
        if not stories:
            which = " ".join(f"{key}-{value}" for key, value in self._wanted(Path("_bold.nii")).items())
            raise UserError(
                f"{folder}: has no BOLD image {which}; check config key {self._key} "
                f"({hint(which, sorted(there))})"
            )
        not_read += [name for (story, run), name in seen.items() if run not in stories.get(story, ())]
        files_of = {
            story: [path for sides in runs.values() for path in self._both(sides)]
            for story, runs in stories.items()
        }
        return _Images(files_of, not_read)

    @staticmethod
    def _both(sides: dict[str | None, Path]) -> list[Path]:
        """Files of one run: its image, or those of the left and the right surface."""
        if None in sides:
            return list(sides.values())
        if lacking := {"L", "R"} - sides.keys():
            image = next(iter(sides.values()))
            raise UserError(f"{image}: has no hemi-{lacking.pop()} beside it; a run on surfaces needs both")
        return [sides["L"], sides["R"]]

    def _wanted(self, image: Path) -> dict[str, str | None]:
        """Entities that an image must have to be read; None: must not have."""
        given = {key: value for key, value in self._block.items() if key in ENTITIES}
        return {key: None if value is None else str(value) for key, value in given.items()}

    def _story(self, image: Path) -> str:
        entities = entities_of(image)
        story = task = entities["task"]
        for key in self._block.get("sections", {}).get(task, ()):
            if key not in entities:
                raise UserError(
                    f"{image}: has no {key}-<label> in its name; by config key {self._key}.sections the "
                    f"{key} labels tell the sections of {task} apart"
                )
            story += f"_{key}-{entities[key]}"
        return story

    def _ambiguous(self, image: Path, other: Path) -> str:
        one, two = entities_of(image), entities_of(other)
        differing = [key for key in ENTITIES if one.get(key) != two.get(key)]
        keys = " or ".join(f"{self._key}.{key}" for key in differing)
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
                f"{self._folder / self._label(subject)}: {some_of(names)} not read; responses are images "
                f"with the entities of config key {self._key}."
            )

    @property
    def _mask_remedy(self) -> str:
        return f"config key {self._key}.mask must name a mask of each subject"

    def _is_volume(self, subject: str) -> bool:
        first = next(iter(self._images[subject].stories.values()))[0]
        return not first.name.endswith((*SURFACES, *GRAYORDINATES))

    def _masks(self, subject: str) -> list[Path]:
        """Masks of volumes: the voxels of responses are those that all have."""
        if not (pattern := self._block.get("mask")):
            raise UserError(
                f"config key {self._key}.mask: is missing; give a NIfTI mask, with {{subject}} in its path"
            )
        # ASSUME: the same masks for all runs of a subject, so that a voxel is the same voxel in every story.
        path = Path(fill_subject(pattern, self._label(subject), f"{self._key}.mask"))
        return [path if path.is_absolute() else self.root / path]

    def companions(self, subject: str) -> list[Path]:
        return self._masks(subject) if self._is_volume(subject) else []

    def _space(self, subject: str) -> str:
        """Name of the space of a subject's images, by the config or else by their names."""
        first = self.response(subject, self.heard(subject)[0])[0]
        return str(self._block.get("space") or entities_of(first).get("space", ""))

    def reading(self, subject: str) -> Reading:
        masks = self._masks(subject) if self._is_volume(subject) else []
        return Reading(self._key, self._space(subject), tuple(map(str, masks)))

    def geometry(self, subject: str) -> Geometry | None:
        story = self.heard(subject)[0]
        return read_response_header(self.response(subject, story), self.reading(subject)).geometry

    @cached_property
    def _places(self) -> dict[str, dict[str, Any] | None]:
        found: dict[str, dict[str, Any] | None] = dict.fromkeys(self.subjects)
        for subject in self.subjects:
            files = self.response(subject, self.heard(subject)[0])
            needed = needed_surfaces(files[0], self._space(subject))
            folder = self._folder / self._label(subject)
            if needed is not None and (surfaces := find_surfaces(folder, needed)) is not None:
                names = [str(path) for path in files]
                reading = self.reading(subject)._asdict()
                found[subject] = {"files": names, "reading": reading, "surfaces": surfaces}
        return found

    def places(self, subject: str) -> dict[str, Any] | None:
        return self._places[subject]

    def place_inputs(self, subject: str) -> list[Path]:
        if (places := self._places[subject]) is None:
            return []
        surfaces = [path for pair in places["surfaces"].values() for path in pair]
        masks = self._masks(subject) if self._is_volume(subject) else []
        return [*map(Path, (*places["files"], *surfaces)), *masks]

    @property
    def regions(self) -> set[str] | None:
        return super().regions if self.config.get("voxels") else set()

    def check(self) -> None:
        super().check()
        if self.config.get("keep") == "none":
            raise UserError(
                "config key dataset.keep: images are read whole, so a copy must be kept; use float32"
            )
        for subject in self.subjects:
            for path in self.companions(subject):
                if not path.exists():
                    raise UserError(f"{path}: no such file; {self._mask_remedy}")
