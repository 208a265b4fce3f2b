"""Whether a study's files are whole, its own, and made with the settings that the config asks for.

Each file says so itself: nothing is taken from times or from what Snakemake noted.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from voxscale.errors import UserError
from voxscale.features import feature_files
from voxscale.io import read_whole
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.notes import Settings


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
    """Read every output that exists, and the stored features."""
    files, problems, results = 0, [], set(map(Path, jobs.results()))
    for job in jobs.all():
        for path in job.outputs:
            if not os.path.lexists(path):
                continue
            files += 1
            results.discard(path)
            problems += _problems(path, jobs.digest(job))
    return Check(files, len(results), problems)


def _problems(path: Path, settings: str) -> Iterator[str]:
    """What is wrong with a file, and with the stored features that it is made of."""
    try:
        made_with = read_whole(path).get("settings")
        if made_with not in (None, settings):  # a file of an older version does not know
            yield f"{path}: was made with other settings than the config's; run the workflow again"
        elif path.parent == Path("results/features"):
            for stored in feature_files(path).values():
                yield from _problems(stored, settings)
    except UserError as error:
        yield str(error)


def outdated_unnoted(jobs: Jobs) -> list[Path]:
    """Outputs made with other settings, of which Snakemake has no note and which it would therefore keep."""
    settings = Settings(jobs)
    return [path for job in jobs.all() if settings.own_differ(job) for path in job.outputs]


def require_folders(jobs: Jobs) -> None:
    """Make sure that every folder of the outputs that exists is one, and can be read.

    Raises:
        UserError: a file has its name, or it cannot be read.
    """
    folders = {folder for job in jobs.all() for path in job.outputs for folder in path.parents}
    for folder in sorted(folders):  # each after the folder that it is in
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(f"{folder}: is a file where a folder must be; move it away and run again")
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            raise UserError(f"{folder}: cannot be read; give yourself permission to read and enter it")
