"""What Snakemake noted of how a file was made, read without Snakemake: are its settings the current ones?

Compared are the parameters of the rule's record, the content of the user's own files, and whether an input
will be made again. Where Snakemake has no note, or a damaged one, the files' own record of their settings
counts.
"""

import base64
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from voxscale.io import sha256_file
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.sources import Sources, own_origin

FORMAT = 6  # ASSUME: Snakemake 9.27 compares nothing with a note of an older format
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
    """How an output was made: its parameters as Python writes them, its inputs, and the log of its job.

    `digests` has the SHA-256 of each small input.
    """

    params: frozenset[str]
    inputs: tuple[str, ...]
    log: str | None
    digests: Mapping[str, str] = {}


def noted(output: str | Path, snakemake: Path = SNAKEMAKE) -> Note | None:
    """Snakemake's note about an output; None if it has none that it can compare."""
    try:
        note = json.loads(file_of(output, "metadata", snakemake).read_text())
        current = isinstance(note["params"], list) and note["record_format_version"] >= FORMAT
        inputs, logs = (note.get(key) or () for key in ("input", "log"))
        digests = note.get("input_checksums") or {}
        made = Note(frozenset(note["params"]), tuple(inputs), next(iter(logs), None), digests)
        return made if current else None
    except (OSError, LookupError, TypeError, ValueError):  # none, a damaged one, or one being written
        return None


def _written_ns(path: Path) -> int:
    """When a file was written, ns; 0 without one."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Settings:
    """Whether existing outputs were made with the current settings and from the current inputs.

    Args:
        jobs: of the study whose working directory is the current one.
        base: prefix of all paths, where another workflow uses this one as a module.
    """

    def __init__(self, jobs: Jobs, base: str | Path = "") -> None:
        self._jobs, self._base, self._sources = jobs, Path(base), Sources(jobs, base)
        self._again: set[str] = set()  # logs of jobs that will run: an input's note names the log of its job
        self._ancient: set[str] = set()  # logs of jobs whose outputs may be made again without consequences
        self._noted = functools.cache(noted)
        self._written = functools.cache(_written_ns)

    def differ(self, job: Job, there: bool) -> bool:
        """Whether a job's output exists and is out of date: its settings or inputs have changed.

        Call it for the jobs in the order of their work, since what follows an outdated one is outdated too.
        """
        outdated = there and (
            self.params_differ(job) or self._other_inputs(job) or bool(self._sources.changed(job))
        )
        if job.record.ancient:
            self._ancient.add(str(job.log))
        elif outdated or not there:
            self._again.add(str(job.log))
        return outdated

    def params_differ(self, job: Job) -> bool:
        """Whether a job's outputs were made with other parameters than now."""
        if (note := self._noted(self._base / job.output)) is None:
            return self.own_differ(job)
        return repr(self._jobs.digest(job)) not in note.params or self.own_differ(job)

    def own_differ(self, job: Job) -> bool:
        """Whether Snakemake lacks a note on one of a job's outputs, and they keep other settings than now."""
        paths = [self._base / path for path in job.outputs]
        if all(self._noted(path) for path in paths):
            return False
        made_with = {own_origin(path).get("settings") for path in paths} - {None}
        return bool(made_with) and made_with != {self._jobs.digest(job)}

    def _other_inputs(self, job: Job) -> bool:
        """Whether an input of a job will be made again, or has been made again since."""
        if (note := self._noted(self._base / job.output)) is None:
            return False
        passed = tuple(f"results/logs/{rule}/" for rule in job.record.unmoved_by)
        made = ((path, self._noted(path)) for path in note.inputs)
        logs = {path: each.log for path, each in made if each is not None and each.log}
        logs = {path: log for path, log in logs.items() if not log.startswith(passed)}
        if not self._again.isdisjoint(logs.values()):
            return True
        # Or it has been made again since, with other content; user's own files are compared elsewhere.
        written = min((self._written(self._base / path) for path in job.outputs), default=0)
        return any(
            self._written(Path(path)) > written and note.digests.get(path) != f"sha256:{sha256_file(path)}"
            for path, log in logs.items()
            if log not in self._ancient
        )
