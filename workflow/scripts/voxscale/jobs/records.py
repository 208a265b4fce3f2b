"""What Snakemake noted of how a file was made, read without Snakemake: were the settings those of now?

Only settings of the config are looked at. Code and inputs that have changed make a job run again, too;
that is Snakemake's to find (`--dry-run`).
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from voxscale.jobs.jobs import STAGES, Job
from voxscale.jobs.parameters import of_job
from voxscale.study import Study

SNAKEMAKE = Path(".snakemake")
NAME_MAX = 255  # of a file's name, on every file system that Linux commonly has
# Rules whose outputs others take as `ancient`: made anew, they make nothing else run.
LOOKED_PAST = {"prepare_responses", *(rule for rule in STAGES["features"] if rule != "prepare_model")}


def file_of(path: str | Path, kind: str, snakemake: Path = SNAKEMAKE) -> Path:
    """Where Snakemake keeps its note on an output.

    Args:
        kind: `metadata`, or `incomplete` for a mark that it is being written.
    """
    # ASSUME: Snakemake 9.27 names it by the path's base64, cut into folders where that is too long.
    name = base64.urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[i : i + NAME_MAX - 1] for i in range(0, len(name), NAME_MAX - 1)]
    return snakemake.joinpath(kind, *(f"@{part}" for part in parts[:-1]), parts[-1])


def marked(snakemake: Path = SNAKEMAKE) -> Iterator[str]:
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
    """What Snakemake noted of an output; None where there is no note of it."""
    try:
        note = json.loads(file_of(output, "metadata", snakemake).read_text())
    except (OSError, ValueError):  # none, or one that is just being written
        return None
    if not isinstance(note, Mapping):
        return None
    params, inputs, logs = (note.get(key) or () for key in ("params", "input", "log"))
    return Note(frozenset(params), tuple(inputs), next(iter(logs), None))


class Settings:
    """Whether the outputs that are there were made with the settings that the config has now.

    Args:
        study: its working directory the current one.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._remade: set[str] = set()  # logs of jobs that will run, by which an input is known for theirs
        self._noted = functools.cache(noted)

    def differ(self, job: Job, there: bool) -> bool:
        """Whether a job's output, if it is there, was made with other settings, or of what was.

        To be asked of the jobs in the order of their work, since a table of other fits is another table.
        """
        other = there and (self._other_params(job) or self._other_inputs(job))
        if (other or not there) and job.rule not in LOOKED_PAST:
            self._remade.add(str(job.log))
        return other

    def _other_params(self, job: Job) -> bool:
        """Whether a job's note names other parameters than now; without a note it counts as made so."""
        if (note := self._noted(job.output)) is None:
            return False
        now = of_job(self.study, job.rule, job.wildcards).values()
        # ASSUME: Snakemake 9.27 notes no parameter that is a path.
        return not note.params.issuperset(repr(value) for value in now if not isinstance(value, Path))

    def _other_inputs(self, job: Job) -> bool:
        if not self._remade or (note := self._noted(job.output)) is None:
            return False
        made = (self._noted(path) for path in note.inputs)
        return any(each is not None and each.log in self._remade for each in made)
