"""Whether a study's files are whole, its own, and made with the settings that the config asks for.

Each file says so itself: nothing is taken from times or from what Snakemake noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from voxscale.errors import UserError
from voxscale.features import feature_files
from voxscale.io import read_whole
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.notes import file_of


def _problem(path: Path, settings: str) -> str | None:
    """What is wrong with an existing file; None if nothing is."""
    try:
        made_with = read_whole(path).get("settings")
    except UserError as error:
        return str(error)
    if made_with not in (None, settings):  # a file of an older version does not know
        return f"{path}: was made with other settings than the config's; delete it and run again"
    return None


def problems(jobs: Jobs, some: Iterable[Job] | None = None) -> Iterator[str]:
    """What is wrong with the outputs that exist, a line each.

    Args:
        some: whose outputs to read; None: those of all jobs, and the stored features.
    """
    for job in jobs.all() if some is None else some:
        for pattern in job.record.outputs.values():
            path = Path(pattern.format(**job.wildcards))
            if path.exists() and (line := _problem(path, jobs.digest(job))):
                yield line
            elif some is None and path.parent == Path("results/features") and path.exists():
                for stored in feature_files(path).values():
                    try:
                        read_whole(stored)
                    except UserError as error:
                        yield str(error)


def without_note(jobs: Jobs) -> list[Job]:
    """Jobs whose output exists without a note of Snakemake's, by which it would see other settings."""
    return [job for job in jobs.all() if job.output.exists() and not _is_noted(job)]


def _is_noted(job: Job) -> bool:
    note = file_of(job.output, "metadata")
    return note.exists() and note.stat().st_size > 0


def describe_check(jobs: Jobs) -> str:
    """The problems of all files, or that there are none."""
    lines = list(problems(jobs))
    return "\n".join([*lines, f"{len(lines)} problems"]) if lines else "All files are whole and up to date."
