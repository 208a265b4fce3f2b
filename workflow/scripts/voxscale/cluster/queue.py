"""What SLURM knows: this directory's jobs in its queue, jobs that ended, nodes; and cancelling jobs."""

import os
import pwd
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


def this_user() -> str:
    """Name of the user of this process, whatever its environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container without names of users
        return str(os.getuid())


# In words, what a job waits for by the reason that SLURM gives; of several that match, the first.
_WAITS = {
    _NEVER_STARTS.pattern: "never, since the cluster cannot give what it asks for",
    "Resources": "for free cores, memory or GPUs",
    "Priority": "behind jobs of higher priority",
    r"ReqNodeNotAvail.*|Nodes? required.*": "for nodes that are down, drained or reserved",
    r"(QOS|Assoc)Max.*": "for other jobs of its user to end (a limit of the account or QoS)",
    r"(QOS|Assoc)Grp.*": "for other jobs of its group to end (a limit of the account or QoS)",
    r"Partition(Down|Inactive)": "for a partition that is down",
    r"JobHeld.*|job requeued in held state": "until someone releases it (scontrol release)",
    "BeginTime": "for the time at which it may begin",
    "Licenses": "for a licence",
    "Reservation": "for a reservation to begin",
    "Dependency": "for another job",
    "None|": "for SLURM to look at it",
}


class QueuedJob(NamedTuple):
    """One job: SLURM's id, its name (given by the run), its state, and its comment (rule and wildcards).

    Attributes:
        place: the nodes it runs on, or the reason why it waits.
        user: who submitted it.
        seconds: for how long it has run.
    """

    jobid: str
    run: str
    state: str
    comment: str
    place: str = ""
    user: str = ""
    seconds: float = 0.0

    @property
    def is_pending(self) -> bool:
        """Whether it has not started yet."""
        return self.state == "PENDING"

    @property
    def never_starts(self) -> bool:
        """Whether SLURM gives a reason for which it can never start."""
        return self.is_pending and _NEVER_STARTS.fullmatch(self.place) is not None

    @property
    def waits(self) -> str:
        """What it waits for, in words."""
        words = (words for reason, words in _WAITS.items() if re.fullmatch(reason, self.place))
        return next(words, f"for a reason that SLURM calls {self.place}")


def read_queue(directory: str | Path = ".") -> list[QueuedJob] | None:
    """Active jobs that runs of this workflow, of any user, have submitted from a directory.

    Returns:
        the jobs; None if SLURM does not answer or is not installed.
    """
    lines = answer_of("squeue", "--noheader", "--format", "%i|%j|%T|%u|%M|%Z|%R|%k")
    if lines is None:
        return None
    here = Path(directory).resolve()
    jobs: list[QueuedJob] = []
    for line in lines:
        if line.count("|") < 7:  # a job of others whose name has a line break
            continue
        jobid, run, state, user, time, folder, place, comment = line.split("|", 7)
        if run.startswith(_NAME_PREFIX) and state in _ACTIVE and Path(folder).resolve() == here:
            jobs.append(QueuedJob(jobid, run, state, comment, place.strip("()"), user, _seconds(time)))
    if cleared := [job.jobid for job in jobs if job.comment in ("", "(null)")]:
        units = _units_by_log(cleared)
        jobs = [job._replace(comment=units.get(job.jobid, job.comment)) for job in jobs]
    return jobs


def _seconds(text: str) -> float:
    """Seconds of a time as SLURM writes it: 1-02:03:04, 03:04, INVALID."""
    days, _, clock = text.rpartition("-")
    try:
        parts = [*map(int, reversed(clock.split(":")))]
        return 86400.0 * int(days or 0) + sum(part * 60**i for i, part in enumerate(parts))
    except ValueError:
        return 0.0


def _units_by_log(ids: Iterable[str]) -> dict[str, str]:
    """What the comment of each job was, by the path of its log, for clusters that clear comments."""
    found = {}
    for line in (
        answer_of("squeue", "--noheader", "--jobs", ",".join(ids), "--Format", "JobID:20,STDOUT:4096") or []
    ):
        jobid, log = line[:20].strip(), Path(line[20:].strip())
        if len(parts := log.parts) > 1 and SLURM_LOGS.name in parts:
            rule, *values = parts[len(parts) - parts[::-1].index(SLURM_LOGS.name) : -1]
            found[jobid] = "_wildcards_".join([rule, *values])
    return found


def read_known_ids() -> set[str] | None:
    """Ids of all jobs of this user that SLURM still knows, ended ones too; None if it does not answer."""
    ids = answer_of("squeue", "--noheader", "--states=all", "--user", this_user(), "--format", "%i")
    return None if ids is None else set(ids)


def read_up_nodes() -> set[str]:
    """Nodes that accept jobs; empty if SLURM does not answer."""
    lines = answer_of("sinfo", "--noheader", "--Node", "--responding", "--format", "%N %T") or []
    states = (line.split() for line in lines)
    return {node for node, state in states if state.strip("+") in ("idle", "mixed", "allocated")}


def read_lost_nodes() -> list[str]:
    """Nodes that take no jobs, a line each with SLURM's state and the reason that an administrator gave."""
    lines = answer_of("sinfo", "--noheader", "--list-reasons", "--format", "%N|%T|%E") or []
    nodes = (line.split("|", 2) for line in lines if line.count("|") >= 2)
    return [f"{node} {state.strip('*')} ({reason})" for node, state, reason in nodes]


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
