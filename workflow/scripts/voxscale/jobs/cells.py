"""Which cells of a study are fitted, by their files: the index of a batch is there only when all of it is."""

import functools
from pathlib import Path

from voxscale.encoding import CELL_FILES
from voxscale.jobs.batches import batches_of, cells_in
from voxscale.jobs.fits import cell_settings
from voxscale.jobs.jobs import Job
from voxscale.jobs.record import Wildcards
from voxscale.jobs.rules import PATHS
from voxscale.jobs.sources import own_origin
from voxscale.study import Cell, Study

_NAMES = [(Path(pattern).name, pattern) for pattern in CELL_FILES.values()]


class FittedCells:
    """The files of cells under `results`.

    Args:
        study: whose cells they are.
        base: prefix of all paths, where another workflow uses this one as a module.
    """

    def __init__(self, study: Study, base: str | Path = "") -> None:
        self.study, self._base = study, Path(base)
        self._listed = functools.cache(self._list)

    def _list(self, pattern: str, model: str, subject: str) -> frozenset[str]:
        """Names of a model's and subject's files: cheaper than to ask for each of thousands of files."""
        folder = self._base / str(Path(pattern).parent).format(model=model, subject=subject)
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    def paths(self, cell: Cell) -> list[Path]:
        """The files of a cell."""
        return [self._base / path.format(**cell._asdict()) for path in CELL_FILES.values()]

    def scratch(self, cell: Cell) -> Path:
        """Folder of a cell's finished draws, while it is being fitted."""
        return Path(f"{self.paths(cell)[-1]}.draws")

    def is_there(self, cell: Cell) -> bool:
        """Whether all files of a cell exist."""
        return all(
            name.format(layer=cell.layer, n_train=cell.n_train)
            in self._listed(pattern, cell.model, cell.subject)
            for name, pattern in _NAMES
        )

    def all_there(self, batch: Wildcards) -> bool:
        """Whether all files of a batch's cells exist."""
        return all(map(self.is_there, cells_in(self.study, batch)))

    def is_done(self, job: Job) -> bool:
        """Whether a job's output exists, and the cells of a batch do."""
        return job.is_done() and (job.rule != "fit_encoding" or self.all_there(job.wildcards))

    def split(self, job: Job, done: bool) -> dict[str, list[Cell]]:
        """Cells of a batch that are `done`, as far as their own files say, and those `left`.

        Args:
            done: whether the job is.
        """
        parts: dict[str, list[Cell]] = {"done": [], "left": []}
        for cell in cells_in(self.study, job.wildcards):
            parts["done" if done or self._is_current(cell) else "left"].append(cell)
        return parts

    def _is_current(self, cell: Cell) -> bool:
        settings = cell_settings(self.study, cell) if self.is_there(cell) else None
        return bool(settings) and all(
            own_origin(path).get("settings") == settings for path in self.paths(cell)
        )

    def incomplete(self) -> list[Path]:
        """Indexes that name a cell of which a file is gone: their jobs must run again."""
        indexes = {PATHS["fits"].format(**batch): batch for batch in batches_of(self.study)}
        return [
            self._base / index
            for index, batch in indexes.items()
            if Path(index).name in self._listed(PATHS["fits"], batch["model"], batch["subject"])
            and not self.all_there(batch)
        ]

    def of_earlier_layout(self) -> int:
        """Fits that an earlier version has left, a folder each, which are not read."""
        return sum(1 for _ in (self._base / "results/scores").glob("model=*/layer=*/*/*/scores.parquet"))
