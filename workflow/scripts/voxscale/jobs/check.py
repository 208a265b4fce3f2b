"""Whether a study's files are whole, its own, and made with the settings that the config asks for.

Each file says so itself, and also which content of the user's own files it was made from: nothing is taken
from times or from what Snakemake noted.
"""

import contextlib
import functools
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from voxscale.encoding import read_index, require_cell
from voxscale.errors import UserError
from voxscale.features import feature_files
from voxscale.io import read_json, read_whole, sha256_file
from voxscale.jobs.batches import cells_in
from voxscale.jobs.cells import FittedCells
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.notes import Settings
from voxscale.models import require_unchanged


class Check(NamedTuple):
    """What a check of all files found: how many there are, how many results are missing, and the problems."""

    files: int
    missing: int
    problems: list[str]

    def describe(self) -> str:
        """The problems, a line each, and the counts."""
        missing = f", {self.missing} results are missing" if self.missing else ""
        if self.problems:
            return "\n".join([*self.problems, f"{self.files} files: {len(self.problems)} problems{missing}"])
        return f"{self.files} files, all whole and up to date{missing}."


def check_files(jobs: Jobs) -> Check:
    """Read every output that exists, the stored features, and what the outputs were made from."""
    files, problems, results = 0, [], set(map(Path, jobs.results()))
    cells = FittedCells(jobs.study)
    digest, stale = functools.cache(sha256_file), defaultdict(list)
    for job in jobs.all():
        for path in job.outputs:
            if not os.path.lexists(path):
                continue
            files += 1
            results.discard(path)
            try:
                made = _read(path, jobs.digest(job))
            except UserError as error:
                problems.append(str(error))
                continue
            sources, were = jobs.sources(job), made.get("sources", ())
            for source, was in zip(sources, were, strict=True) if len(were) == len(sources) else ():
                if Path(source).exists() and digest(source) != was:
                    stale[source].append(path)
        if job.rule == "fit_encoding":
            found = list(_check_cells(job, cells))
            files, problems = files + len(found), [*problems, *filter(None, found)]
    for source, made_from_it in stale.items():
        what = f"has changed since {len(made_from_it)} results were made from it, such as {made_from_it[0]}"
        problems.append(f"{source}: {what}; run the workflow again")
    return Check(files, len(results), problems)


def _check_cells(job: Job, fits: FittedCells) -> Iterator[str | None]:
    """What is wrong with each file of a batch's cells, None for those that are whole and the index's own.

    Without an index, they are those that a job finished before it was killed.
    """
    index, keys = job.output, {}
    with contextlib.suppress(UserError):  # reported with the other outputs
        keys = read_index(index) if index.exists() else {}
    for cell in cells_in(fits.study, job.wildcards):
        for path in fits.paths(cell):
            try:
                if cell in keys:
                    require_cell(path, keys[cell], index, content=True)
                elif os.path.lexists(path):
                    read_whole(path)
                else:
                    continue
                yield None
            except UserError as error:
                yield str(error)


def _read(path: Path, settings: str) -> dict[str, Any]:
    """Read a file whole, with the stored features that it consists of or the files of its model.

    Returns:
        what it says of its origin.

    Raises:
        UserError: something is wrong with one of them.
    """
    made = read_whole(path)
    if made.get("settings") not in (None, settings):  # a file of an older version does not know
        raise UserError(f"{path}: was made with other settings than the config's; run the workflow again")
    if path.parent == Path("results/models"):
        require_unchanged(read_json(path))
    if path.parent == Path("results/features"):
        for stored in feature_files(path).values():
            _read(stored, settings)
    return made


def outdated_unnoted(jobs: Jobs) -> list[Path]:
    """Outputs made with other settings, of which Snakemake has no note and which it would therefore keep."""
    settings = Settings(jobs)
    return [path for job in jobs.all() if settings.own_differ(job) for path in job.outputs]


def require_folders(jobs: Jobs) -> None:
    """Make sure that each folder of the outputs that exists is one and can be read, and that files are files.

    The files of cells are looked at by the jobs that fit or gather them.

    Raises:
        UserError: a file has a folder's name, or a folder a file's; or one cannot be read.
    """
    parents = {path.parent for job in jobs.all() for path in job.outputs}
    cells, about = (
        FittedCells(jobs.study),
        {(cell.model, cell.subject): cell for cell in jobs.study.grid.cells()},
    )
    parents |= {path.parent for cell in about.values() for path in cells.paths(cell)}
    folders = {folder for parent in parents for folder in (parent, *parent.parents)}
    for folder in sorted(folders):  # each after the folder that it is in
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(f"{folder}: is a file where a folder must be; move it away and run again")
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            raise UserError(f"{folder}: cannot be read; give yourself permission to read and enter it")
    for path in (path for job in jobs.all() if "layer" not in job.wildcards for path in job.outputs):
        if path.is_dir():
            raise UserError(f"{path}: is a folder where a file must be; move it away and run again")
