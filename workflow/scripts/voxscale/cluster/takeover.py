"""Jobs of a killed run that are still in the cluster, and starting Snakemake again when they have ended.

Snakemake itself would submit every unfinished job again. So, at the start and before any submission, jobs
of this directory that have not started are cancelled and running ones are waited for, but for those of a run
that lives. Then Snakemake starts again, so that what they made is not made twice. Files appear by renaming: a
job that is cut off leaves none.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from voxscale.cluster.locks import holders
from voxscale.cluster.queue import QueuedJob, cancel, read_queue, this_user
from voxscale.errors import UserError
from voxscale.progress import notify

POLL_S = 5.0
SILENCE_S = 600.0  # of SLURM, after which a run ends rather than submit blindly
NOTICE_S = 60.0  # between two lines about what is waited for
COMPLETING_S = 300.0  # in which a job may end; longer means that SLURM waits for its node, not for the job
STUCK = "VOXSCALE_STUCK"  # environment variable: ids of jobs not waited for, kept across a restart

T = TypeVar("T")


def settle() -> int:
    """Wait until no job of an earlier run is left in the cluster, with a line every minute.

    A job runs at most to its time limit; one that SLURM cannot end for minutes is no longer waited for.

    Returns:
        number of jobs there were; each may have started meanwhile, and made something.

    Raises:
        UserError: SLURM does not answer.
    """
    seen: set[str] = set()
    waited, completing = 0.0, {}
    while queue := left_behind(ask(read_queue)):
        # A job stays in the queue until its node, which may be gone, has reported its end.
        completing = {
            job.jobid: completing.get(job.jobid, waited) for job in queue if job.state == "COMPLETING"
        }
        if stuck := [job for job in queue if waited - completing.get(job.jobid, waited) >= COMPLETING_S]:
            notify(f"SLURM cannot end jobs of an earlier run ({_describe(stuck)}); continuing without them.")
            os.environ[STUCK] = " ".join([os.environ.get(STUCK, ""), *(job.jobid for job in stuck)])
            continue
        seen |= {job.jobid for job in queue}
        # Only its own user can cancel a job.
        pending = [job for job in queue if job.is_pending and job.user in ("", this_user())]
        if waited % NOTICE_S == 0:
            _notify_settling(pending, [job for job in queue if job not in pending])
        if pending:
            cancel(pending)
        time.sleep(POLL_S)
        waited += POLL_S
    return len(seen)


def ask(question: Callable[[], T | None]) -> T:
    """Ask SLURM until it answers.

    Raises:
        UserError: SLURM has not answered for long: submitting blindly could make jobs twice.
    """
    waited = 0.0
    while (answer := question()) is None:
        if waited >= SILENCE_S:
            raise UserError(
                f"squeue: no answer for {SILENCE_S / 60:.0f} minutes; start again when SLURM answers"
            )
        if not waited:
            notify("SLURM does not answer; waiting for it.")
        time.sleep(POLL_S)
        waited += POLL_S
    return answer


def left_behind(queue: Sequence[QueuedJob]) -> Sequence[QueuedJob]:
    """The jobs that are still waited for, by this process and by the one that it restarted from."""
    stuck = os.environ.get(STUCK, "").split()
    living = {holder.about.get("run") for holder in holders() if holder.state == "alive"}
    return [job for job in queue if job.jobid not in stuck and job.run not in living]


def restart(workflow: Any, why: str) -> None:
    """Replace this process by the same Snakemake command, after releasing the lock.

    Raises:
        UserError: Snakemake was not started from a command line.
    """
    if Path(sys.argv[0]).name not in ("snakemake", "__main__.py"):
        raise UserError("jobs of an earlier run have ended; start the workflow again to use what they made")
    notify(f"{why}; starting again.")
    workflow.persistence.unlock()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *sys.argv[1:]])


def _notify_settling(pending: Sequence[QueuedJob], running: Sequence[QueuedJob]) -> None:
    text = (
        f"{len(pending) + len(running)} jobs of an earlier run are in the cluster: cancelling {len(pending)}"
    )
    text += " that have not started"
    if running:
        what = "run or are another user's" if any(job.is_pending for job in running) else "run"
        text += f", waiting for {len(running)} that {what} ({_describe(running)}). To cancel these too: "
        text += f"scancel {' '.join(job.jobid for job in running)}"
    notify(text)


def _describe(queue: Sequence[QueuedJob]) -> str:
    """State and node of each job, of the first few if there are many."""
    jobs = [" ".join(filter(None, (job.jobid, job.state.lower(), job.place, job.user))) for job in queue]
    return ", ".join([*jobs[:5], *([f"and {len(jobs) - 5} more"] if len(jobs) > 5 else [])])
