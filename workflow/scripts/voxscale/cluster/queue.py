"""What SLURM knows: this directory's jobs in its queue, jobs that ended, nodes; and cancelling jobs."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SLURM_LOGS = Path("results/logs/slurm")  # as in profiles/slurm
_NAME_PREFIX = "voxscale_"  # of the jobs' names, as in profiles/slurm
_ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "STOPPED", "REQUEUED", "RESIZING"}
_TIMEOUT_S = 60
# Reasons to wait that only a change of the cluster, or of the job's request, can end.
_NEVER_STARTS = re.compile(
    r"Partition(TimeLimit|NodeLimit|Config)|BadConstraints|DependencyNeverSatisfied"
    r"|(Assoc|QOS)Max\w+PerJob\w*|QOSMin\w+|(Account|QOS)NotAllowed|Invalid(Account|QOS)"
)


class QueuedJob(NamedTuple):
    """One job: SLURM's id, its name (given by the run), its state, and its comment (rule and wildcards).

    Attributes:
        place: the nodes it runs on, or the reason why it waits.
    """

    jobid: str
    run: str
    state: str
    comment: str
    place: str = ""

    @property
    def is_pending(self) -> bool:
        """Whether it has not started yet."""
        return self.state == "PENDING"

    @property
    def never_starts(self) -> bool:
        """Whether SLURM gives a reason for which it can never start."""
        return self.is_pending and _NEVER_STARTS.fullmatch(self.place) is not None


def read_queue(directory: str | Path = ".") -> list[QueuedJob] | None:
    """Active jobs that runs of this workflow have submitted from a directory.

    Returns:
        the jobs; None if SLURM does not answer or is not installed.
    """
    lines = answer_of("squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i|%j|%T|%Z|%R|%k")
    if lines is None:
        return None
    here = Path(directory).resolve()
    jobs = []
    for line in lines:
        jobid, run, state, folder, place, comment = line.split("|", 5)
        if run.startswith(_NAME_PREFIX) and state in _ACTIVE and Path(folder).resolve() == here:
            jobs.append(QueuedJob(jobid, run, state, comment, place.strip("()")))
    return jobs


def read_known_ids() -> set[str] | None:
    """Ids of all jobs of this user that SLURM still knows, ended ones too; None if it does not answer."""
    ids = answer_of("squeue", "--noheader", "--states=all", "--user", getpass.getuser(), "--format", "%i")
    return None if ids is None else set(ids)


def read_up_nodes() -> set[str]:
    """Nodes that accept jobs; empty if SLURM does not answer."""
    lines = answer_of("sinfo", "--noheader", "--Node", "--responding", "--format", "%N %T") or []
    states = (line.split() for line in lines)
    return {node for node, state in states if state.strip("+") in ("idle", "mixed", "allocated")}


def is_answering() -> bool:
    """Whether a slurmctld answers; assumed where `scontrol` is not installed."""
    if shutil.which("scontrol") is None:
        return True
    return any(" is UP" in line for line in answer_of("scontrol", "ping", check=False) or [])


def cancel(jobs: Iterable[QueuedJob]) -> None:
    """Cancel jobs that have not started; those that have started meanwhile continue.

    If SLURM does not answer, nothing happens, and the next look at the queue finds the jobs again.
    """
    if ids := [job.jobid for job in jobs]:
        answer_of("scancel", "--state=PENDING", *ids)


def answer_of(*command: str, check: bool = True) -> list[str] | None:
    """Lines that a command prints; None if it does not answer, is not installed or (with `check`) fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=check)
    except (subprocess.SubprocessError, FileNotFoundError):
        return None
    return done.stdout.splitlines()
