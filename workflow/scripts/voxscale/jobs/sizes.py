"""Sizes that a study's jobs depend on: TRs, voxels, widths; estimated if the data do not exist yet."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from voxscale.dataset import PROSE, ResponseHeader, read_response_header
from voxscale.errors import UserError
from voxscale.jobs import resources
from voxscale.study import Cell, Study

VOXELS = 100_000  # ASSUME: of a subject without files
STORY_TRS = 300  # ASSUME: of a story without files
REPEATS = 10


@dataclass(frozen=True, eq=False)  # two studies are never compared; so it can be cached by identity
class Sizes:
    """Sizes of one study.

    Args:
        study: complete; relative paths are looked up in the working directory.
        before: as they are known before any file is made, and so the same throughout a run.
    """

    study: Study
    before: bool = False

    @functools.cache  # noqa: B019  one study lives as long as the process
    def trs(self, story: str) -> int:
        """Response TRs of a story; an estimate if the dataset does not exist yet."""
        made = self.study.dataset.kind == "phantom"
        if not (self.before and made) and (known := self.study.dataset.n_trs(story)) is not None:
            return known
        return self._phantom_trs(story)

    def _phantom_trs(self, story: str) -> int:
        phantom = self.study.config["phantom"]
        limit = phantom["words_per_story"]
        if limit is not None:
            words = limit * (2 if story in self.study.config["dataset"]["test_stories"] else 1)
        else:
            text = PROSE / f"{story}.txt"
            words = len(text.read_text().split()) if text.exists() else STORY_TRS * 4
        seconds = 60 * words / phantom["words_per_minute"]
        return max(10, round(1.2 * seconds / self.study.config["dataset"]["tr_s"]))

    def _file_bytes(self, subject: str, story: str) -> int | None:
        dataset = self.study.dataset
        paths = dataset.response(subject, story)
        if manifest := getattr(dataset, "manifest", None):
            names = [path.relative_to(dataset.root).as_posix() for path in paths]
            return sum(manifest[name].size for name in names if name in manifest)
        return sum(path.stat().st_size for path in paths) if all(path.exists() for path in paths) else None

    @functools.cache  # noqa: B019
    def _stored(self, subject: str, story: str) -> ResponseHeader | None:
        """Sizes in the headers of a lab's files; None if they do not exist or cannot be read."""
        dataset = self.study.dataset
        if dataset.kind in ("phantom", "ds003020"):
            return None
        first = dataset.members(subject)[0]
        try:
            return read_response_header(dataset.response(first, story), dataset.reading(first))
        except (UserError, OSError):  # the job that reads them reports the mistake
            return None

    @functools.cache  # noqa: B019
    def voxels(self, subject: str) -> int:
        """Voxels of a subject: by config, header and mask, or the size of a published file."""
        if self.study.dataset.kind == "phantom":
            return int(self.study.config["phantom"]["voxels"])
        story = self.study.dataset.training(subject)[0]
        if self.study.dataset.kind == "ds003020":  # float64, (TRs, voxels)
            return max(1, (self._file_bytes(subject, story) or 0) // (8 * self.trs(story)))
        stored = self._stored(subject, story)
        return VOXELS if stored is None else stored.n_voxels

    def repeat_trs(self, subject: str) -> int:
        """TRs of all repeats of a subject's test stories."""
        found = 0
        for story in self.study.dataset.test(subject):
            stored = self._stored(subject, story)
            found += self.trs(story) * (REPEATS if stored is None else stored.n_repeats)
        return found

    def held_responses(self, subject: str) -> float:
        """Bytes that reading a subject's largest story keeps in memory, in addition to the blocks."""
        stored = (self._stored(subject, story) for story in self.study.heard(subject))
        return max((one.held for one in stored if one), default=0.0)

    def held_mean(self, subject: str) -> float:
        """Bytes that a mean over subjects keeps in memory of its largest story, with the repeats."""
        # In float32 the sum and one subject's part; of one series at a time z-scores in float64.
        stories = ((story, self._stored(subject, story)) for story in self.study.heard(subject))
        series = ((self.trs(story), stored.n_repeats if stored else REPEATS) for story, stored in stories)
        return max(self.voxels(subject) * trs * (32.0 + 12 * repeats) for trs, repeats in series)

    def response_bytes(self, subject: str) -> float:
        """Bytes of all response files of a subject."""
        total = 0.0
        for story in self.study.heard(subject):
            size = self._file_bytes(subject, story)
            repeats = REPEATS if story in self.study.dataset.test(subject) else 0
            total += 8.0 * self.trs(story) * self.voxels(subject) * (1 + repeats) if size is None else size
        return total

    @functools.cache  # noqa: B019
    def test_trs(self, subject: str) -> int:
        """TRs of all test stories of a subject."""
        return sum(self.trs(story) for story in self.study.dataset.test(subject))

    def n_folds(self, subject: str) -> int:
        """Folds that each draw of a subject is fitted in; 1 for fixed test stories."""
        return len(self.study.dataset.folds(subject))

    @functools.cache  # noqa: B019
    def train_trs(self, subject: str, n_train: int | None = None) -> int:
        """TRs of a subject's longest training stories, or of all."""
        return sum(self.longest(subject, n_train))

    @functools.cache  # noqa: B019
    def longest(self, subject: str, n_train: int | None = None) -> list[int]:
        """TRs of each of a subject's longest training stories, or of all."""
        lengths = sorted((self.trs(story) for story in self.study.dataset.training(subject)), reverse=True)
        return lengths[:n_train]

    def fold_test_trs(self, subject: str) -> int:
        """TRs of the test stories of a subject's largest fold."""
        return max(sum(map(self.trs, fold)) for fold in self.study.dataset.folds(subject))

    @cached_property
    def clock_trs(self) -> list[int]:
        """TRs of each story on the stimulus clock."""
        return [self.trs(story) + sum(self.study.dataset.trim) for story in self.study.stories]

    def width(self, model: str) -> int:
        """Features per layer."""
        entry = self.study.registry[model]
        if entry.width:
            return entry.width
        return self.study.config["features"]["control"]["mel_bands"] if entry.control == "mel" else 16

    def parameters(self, model: str) -> float:
        """Parameters of a model, to a few percent."""
        entry = self.study.registry[model]
        return resources.parameters(entry.width or 0, entry.n_layers, entry.vocab or 0, entry.config)

    def loaded(self, model: str) -> float:
        """Parameters that are downloaded and loaded: including a decoder, which makes no features."""
        entry = self.study.registry[model]
        decoder = entry.config.get("decoder_layers", 0) if entry.modality == "speech" else 0
        inner = entry.config.get("decoder_ffn_dim", 0)
        width = entry.width or 0
        return self.parameters(model) + decoder * (8.0 * width**2 + 2 * width * inner)

    def n_fits(self, cell: Cell) -> int:
        """Ridge problems of a cell: each draw in each fold."""
        return self.study.grid.draws.get(cell, 1) * self.n_folds(cell.subject)

    def rows(self, cells: Iterable[Cell]) -> list[float]:
        """Rows of the table of scores that each cell has: draws times voxels."""
        return [float(self.study.grid.draws.get(cell, 1)) * self.voxels(cell.subject) for cell in cells]

    @cached_property
    def all_voxels(self) -> float:
        """Voxels of all subjects."""
        return float(sum(self.voxels(subject) for subject in self.study.subjects))
