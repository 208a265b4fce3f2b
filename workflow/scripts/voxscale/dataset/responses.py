"""Responses of one subject in one file, laid out for fits, which read a few thousand voxels at all TRs.

    <subject>.h5    /<story>/data     (voxels, TRs) float32
                    /<story>/repeats  (repeats, voxels, TRs) float32, if the story was heard several times
                    /voxels           (voxels,) int32, columns of the source files

Values are as published: not z-scored; a value that is not finite is NaN. With `keep: none` the groups only
say where the source file is, and the same reader reads it there.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.dataset.response_files import open_responses
from voxscale.errors import UserError
from voxscale.io import attributes, open_hdf5, remake

RESPONSES_FORMAT = "voxscale-responses-1"
VOXELS_NAME = "voxels"  # the only dataset at the root; stories are groups


class SubjectResponses:
    """Responses of one subject; made by `open_subject`.

    Attributes:
        stories: stories in the dataset's order, training first.
        test_stories: those of them that are tested on.
        n_voxels: voxels kept.
        voxels: (voxels,) int32, their columns in the dataset's own files.
        attrs: everything else that was noted, for instance `provenance`.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.attrs: dict[str, Any] = attributes(file)
        self.attrs["provenance"] = json.loads(self.attrs["provenance"])
        self.stories: list[str] = json.loads(self.attrs["stories"])
        self.test_stories: list[str] = json.loads(self.attrs["test_stories"])
        self.voxels: np.ndarray = file[VOXELS_NAME][:]
        self.n_voxels = len(self.voxels)
        self._about = {story: attributes(file[story]) for story in self.stories}
        self._held: dict[str, tuple[np.ndarray, np.ndarray]] | None = None

    def _of(self, story: str) -> dict[str, Any]:
        if story not in self._about:
            raise UserError(f"{self.path}: has no story {story}; prepare the responses again with it")
        return self._about[story]

    def n_trs(self, story: str) -> int:
        """Response TRs of `story`."""
        return int(self._of(story)["n_trs"])

    def n_repeats(self, story: str) -> int:
        """Number of repeats of the story that are kept; 0 if there is only `data`."""
        return int(self._of(story)["n_repeats"])

    @property
    def ceiling_stories(self) -> list[str]:
        """Test stories of the noise ceiling: of those with repeats the ones with the most; may be none."""
        # ASSUME: stories with fewer repeats are left out: one ceiling, one number of repeats.
        most = max((self.n_repeats(story) for story in self.test_stories), default=0)
        return [story for story in self.test_stories if self.n_repeats(story) == most > 1]

    def hold(self) -> None:
        """Keep in memory what `read` reads from now on, so that it is read only once."""
        self._held = {}

    def read(self, story: str, voxels: slice = slice(None)) -> np.ndarray:
        """(v, TRs) float32 of the chosen voxels, not to be written to."""
        if self._held is None:
            return self._read(story, "data", voxels)
        if story not in self._held:
            shape = self.n_voxels, self.n_trs(story)
            self._held.setdefault(story, (np.empty(shape, np.float32), np.zeros(self.n_voxels, bool)))
        values, there = self._held[story]
        if not there[voxels].all():
            values[voxels] = self._read(story, "data", voxels)
            there[voxels] = True
        return values[voxels]

    def repeats(self, story: str, voxels: slice = slice(None)) -> np.ndarray:
        """(repeats, v, TRs) float32 of the chosen voxels.

        Raises:
            UserError: the story has no repeats.
        """
        if not self.n_repeats(story):
            raise UserError(
                f"{self.path}: story {story} has no repeats; a noise ceiling needs a story with repeats"
            )
        return self._read(story, "repeats", voxels)

    def _read(self, story: str, what: str, voxels: slice) -> np.ndarray:
        if "source" not in (about := self._of(story)):
            with open_hdf5(self.path, remake(self.path)) as file:
                return file[story][what][..., voxels, :]
        with open_responses([about["source"]]) as source:
            return read_columns(getattr(source, what), self.voxels[voxels]).swapaxes(-1, -2)


def open_subject(path: str | Path) -> SubjectResponses:
    """Open what `prepare_responses` wrote; nothing stays open between reads.

    Raises:
        UserError: the file is missing, cut off, or of another kind.
    """
    path = Path(path)
    with open_hdf5(path, remake(path), "run rule prepare_responses") as file:
        if attributes(file).get("format") != RESPONSES_FORMAT:
            raise UserError(f"{path}: is not a response file of this version; {remake(path)}")
        return SubjectResponses(path, file)


def read_columns(array: h5py.Dataset | np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Columns (last axis) of an array on disk as float32, what is not finite as NaN."""
    if not len(columns):
        return np.empty((*array.shape[:-1], 0), np.float32)
    first, last = int(columns.min()), int(columns.max())
    # One contiguous read: picking single columns from a file costs far more than reading the gaps.
    values = array[..., first : last + 1]
    if len(columns) != last + 1 - first:
        values = values[..., columns - first]
    with np.errstate(over="ignore"):
        values = np.asarray(values).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    return values
