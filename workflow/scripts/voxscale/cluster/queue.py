"""The jobs that SLURM has in its queue for one working directory."""

from __future__ import annotations

import contextlib
import getpass
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PREFIX = "voxscale"  # of the jobs' names, as profiles/slurm sets it
ALIVE = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "STOPPED", "REQUEUED", "RESIZING"}
TIMEOUT_S = 60
# Reasons to wait that only a change of the cluster, or of what is asked for, can end.
NEVER = re.compile(
    r"Partition(TimeLimit|NodeLimit|Config)|BadConstraints|DependencyNeverSatisfied"
    r"|(Assoc|QOS)Max\w+PerJob\w*|QOSMin\w+|(Account|QOS)NotAllowed|Invalid(Account|QOS)"
)


class Queued(NamedTuple):
    """One job: SLURM's id, the run that submitted it, its state, its comment (rule and wildcards) and place.

    Attributes:
        place: the nodes it runs on, or the reason why it waits.
    """

    jobid: str
    run: str
    state: str
    comment: str
    place: str = ""

    @property
    def waiting(self) -> bool:
        """Whether it has not started yet."""
        return self.state == "PENDING"

    @property
    def hopeless(self) -> bool:
        """Whether it waits for what will never be."""
        return self.waiting and NEVER.fullmatch(self.place) is not None


def read_queue(directory: str | Path, prefix: str = PREFIX) -> list[Queued] | None:
    """Living jobs that runs of this workflow have submitted from a directory.

    Returns:
        the jobs; None where SLURM does not answer, or is not there.
    """
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i|%j|%T|%Z|%R|%k"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    here = str(Path(directory).resolve())
    found = []
    for line in done.stdout.splitlines():
        jobid, run, state, where, place, comment = line.split("|", 5)
        if run.startswith(f"{prefix}_") and state in ALIVE and str(Path(where).resolve()) == here:
            found.append(Queued(jobid, run, state, comment, place.strip("()")))
    return found


def read_known() -> set[str] | None:
    """Ids of all jobs of this user that SLURM still knows, ended ones too; None where it does not answer."""
    command = ["squeue", "--noheader", "--states=all", "--user", getpass.getuser(), "--format", "%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return None
    return None if done.returncode else set(done.stdout.split())


def is_answering() -> bool:
    """Whether a slurmctld answers; taken for granted where it cannot be asked."""
    try:
        done = subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    except FileNotFoundError:
        return True
    return " is UP" in done.stdout


def read_up_nodes() -> set[str]:
    """Nodes that SLURM gives work to; none where it does not answer."""
    command = ["sinfo", "--noheader", "--Node", "--responding", "--format", "%N %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return set()
    states = (line.split() for line in done.stdout.splitlines() if not done.returncode)
    return {node for node, state in states if state.strip("+") in ("idle", "mixed", "allocated")}


def cancel(jobs: Iterable[Queued], pending_only: bool = False) -> None:
    """Take jobs out of the queue; with `pending_only`, those that have started meanwhile go on.

    Where SLURM does not answer nothing happens; who looks again finds the jobs still there.
    """
    if ids := [job.jobid for job in jobs]:
        state = ["--state=PENDING"] if pending_only else []
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["scancel", *state, *ids], timeout=TIMEOUT_S, check=False, capture_output=True)
