"""A lab's own data: a folder of transcripts and arrays, or NIfTI images of a BIDS derivative."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from voxscale.dataset.base import Dataset, fill_subject
from voxscale.dataset.response_files import RESPONSE_SUFFIXES
from voxscale.dataset.transcripts import has_phones
from voxscale.errors import UserError


class _OwnData(Dataset):
    """What both kinds share."""

    @property
    def clocks(self) -> Path:
        return self.root / "trs.tsv"

    def has_phones(self, story: str) -> bool:
        return has_phones(self.transcript(story))


class FolderDataset(_OwnData):
    """A lab's own folder.

    words/<story>.TextGrid or .tsv · sounds/<story>.wav · responses/<subject>/<story>.{hf5,h5,hdf5,npy,npz} ·
    trs.tsv with columns story, n_tr, onset_s
    """

    kind = "folder"

    @cached_property
    def _responses(self) -> dict[str, dict[str, Path]]:
        found: dict[str, dict[str, Path]] = {}
        for subject in self.subjects:
            folder = self.root / "responses" / subject
            if not folder.is_dir():
                raise UserError(f"{folder}: no such folder; put the responses of {subject} there")
            stories: dict[str, Path] = {}
            # macOS adds a file `._<name>` to each file that it copies to a disk of another system.
            for path in sorted(path for path in folder.glob("[!.]*") if path.suffix in RESPONSE_SUFFIXES):
                if path.stem in stories:
                    raise UserError(
                        f"{path}: {path.stem} is also in {stories[path.stem].name}; keep one of them"
                    )
                stories[path.stem] = path
            found[subject] = stories
        return found

    def recorded(self, subject: str) -> list[str]:
        return sorted(self._responses[subject])

    def transcript(self, story: str) -> Path:
        table = self.root / f"words/{story}.tsv"
        return table if table.exists() else self.root / f"words/{story}.TextGrid"

    def audio(self, story: str) -> Path:
        return self.root / f"sounds/{story}.wav"

    def response(self, subject: str, story: str) -> list[Path]:
        return [self._responses[subject][story]]


class BidsDataset(_OwnData):
    """NIfTI images of a BIDS derivative; the task label is the story, runs of one task are its repeats.

    sub-<subject>/[ses-*/]func/*_task-<story>[_run-<n>]*_bold.nii[.gz] · stimuli/<story>.tsv (onset, duration,
    word) and .wav · trs.tsv with columns story, n_tr, onset_s · a mask for each subject
    """

    kind = "bids"

    @cached_property
    def _runs(self) -> dict[str, dict[str, list[Path]]]:
        return {subject: self._runs_of(subject) for subject in self.subjects}

    def _runs_of(self, subject: str) -> dict[str, list[Path]]:
        folder = self.root / self._label(subject)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; check config keys dataset.root and dataset.subjects")
        bids = self.config.get("bids") or {}
        wanted = {name: bids[name] for name in ("space", "desc") if bids.get(name)}
        runs: dict[str, dict[tuple[str | None, ...], Path]] = {}
        for path in sorted(folder.glob("**/func/sub-*_bold.nii*")):
            entities = dict(part.split("-", 1) for part in path.name.split("_") if "-" in part)
            if "task" not in entities or any(entities.get(name) != value for name, value in wanted.items()):
                continue
            same = runs.setdefault(entities["task"], {})
            run = (entities.get("ses"), entities.get("run"))
            if run in same:
                raise UserError(
                    f"{path}: is the same run as {same[run].name}; "
                    "pick one by config key dataset.bids.space or dataset.bids.desc"
                )
            same[run] = path
        if not runs:
            which = " ".join(f"{name}-{value}" for name, value in wanted.items())
            raise UserError(f"{folder}: has no BOLD image {which}; check config key dataset.bids")
        return {story: list(same.values()) for story, same in runs.items()}

    @staticmethod
    def _label(subject: str) -> str:
        return subject if subject.startswith("sub-") else f"sub-{subject}"

    def recorded(self, subject: str) -> list[str]:
        return sorted(self._runs[subject])

    def transcript(self, story: str) -> Path:
        return self.root / f"stimuli/{story}.tsv"

    def audio(self, story: str) -> Path:
        return self.root / f"stimuli/{story}.wav"

    def response(self, subject: str, story: str) -> list[Path]:
        return list(self._runs[subject][story])

    def mask(self, subject: str) -> Path:
        pattern = (self.config.get("bids") or {}).get("mask")
        if not pattern:
            raise UserError(
                "config key dataset.bids.mask: is missing; give a NIfTI mask, with {subject} in its path"
            )
        # ASSUME: one mask for all runs of a subject, so that a voxel is the same voxel in every story.
        path = Path(fill_subject(pattern, self._label(subject), "dataset.bids.mask"))
        return path if path.is_absolute() else self.root / path

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
