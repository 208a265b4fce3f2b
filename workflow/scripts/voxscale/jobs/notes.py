"""What Snakemake noted of how a file was made, read without Snakemake: are its settings the current ones?

Compared are the parameters of the rule's record, and whether an input will be made again. Snakemake itself
also compares the content of inputs (`--dry-run`).
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from voxscale.jobs.jobs import Job, Jobs

SNAKEMAKE = Path(".snakemake")
NAME_MAX = 255  # of a file's name, on every file system that Linux commonly has


def file_of(path: str | Path, kind: str, snakemake: Path = SNAKEMAKE) -> Path:
    """Where Snakemake keeps its note on an output.

    Args:
        kind: `metadata`, or `incomplete` for a mark that it is being written.
    """
    # ASSUME: Snakemake 9.27 names it by the path's base64, cut into folders where that is too long.
    name = base64.urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[i : i + NAME_MAX - 1] for i in range(0, len(name), NAME_MAX - 1)]
    return snakemake.joinpath(kind, *(f"@{part}" for part in parts[:-1]), parts[-1])


def started_outputs(snakemake: Path = SNAKEMAKE) -> Iterator[str]:
    """Outputs that Snakemake has marked as being written."""
    folder = snakemake / "incomplete"
    for path in folder.rglob("*"):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            try:
                yield base64.urlsafe_b64decode(name).decode()
            except ValueError:
                continue


class Note(NamedTuple):
    """How an output was made: its parameters as Python writes them, its inputs, and the log of its job."""

    params: frozenset[str]
    inputs: tuple[str, ...]
    log: str | None


def noted(output: str | Path, snakemake: Path = SNAKEMAKE) -> Note | None:
    """Snakemake's note about an output; None if it has none."""
    try:
        note = json.loads(file_of(output, "metadata", snakemake).read_text())
    except (OSError, ValueError):  # none, or one that is just being written
        return None
    if not isinstance(note, Mapping):
        return None
    params, inputs, logs = (note.get(key) or () for key in ("params", "input", "log"))
    return Note(frozenset(params), tuple(inputs), next(iter(logs), None))


class Settings:
    """Whether existing outputs were made with the current settings and from the current inputs.

    Args:
        jobs: of the study whose working directory is the current one.
        base: prefix of all paths, where another workflow uses this one as a module.
    """

    def __init__(self, jobs: Jobs, base: str | Path = "") -> None:
        self._jobs, self._base = jobs, Path(base)
        self._again: set[str] = set()  # logs of jobs that will run: an input's note names the log of its job
        self._noted = functools.cache(noted)

    def differ(self, job: Job, there: bool) -> bool:
        """Whether a job's output exists and is out of date: its settings or inputs have changed.

        Call it for the jobs in the order of their work, since what follows an outdated one is outdated too.
        """
        outdated = there and (self.params_differ(job) or self._other_inputs(job))
        if (outdated or not there) and not job.record.ancient:
            self._again.add(str(job.log))
        return outdated

    def params_differ(self, job: Job) -> bool:
        """Whether a job's note has other parameters than now; without a note they count as equal."""
        if (note := self._noted(self._base / job.output)) is None:
            return False
        return repr(self._jobs.digest(job)) not in note.params

    def _other_inputs(self, job: Job) -> bool:
        if not self._again or (note := self._noted(self._base / job.output)) is None:
            return False
        made = (self._noted(path) for path in note.inputs)
        return any(each is not None and each.log in self._again for each in made)
