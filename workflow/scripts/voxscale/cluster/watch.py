"""Looks after a run's jobs while it lasts: some can never start, and some SLURM has forgotten."""

import contextlib
import time
from typing import Any

from voxscale.cluster.patches import reuse_nodes
from voxscale.cluster.queue import SLURM_LOGS, QueuedJob, cancel, read_known_ids, read_queue
from voxscale.io import atomic
from voxscale.progress import notify

LOOK_S = 60.0
LOST = 4  # looks in a row that miss a job, after which it counts as lost
NEVER_STARTS = 2  # looks in a row, after which a job is cancelled: a node may be away for a moment


def find_lost(executor: Any) -> set[str]:
    """Look at the cluster every minute, until SLURM no longer knows a job that Snakemake waits for.

    SLURM forgets a job some minutes after its end (MinJobAge). If Snakemake has not asked in time, because
    its machine slept or slurmctld was down, it would wait for ever.

    At each look nodes that are up again are given back to the executor, and jobs that can never start are
    cancelled, so that the run counts them as failed; by itself it would wait for ever for these, too.

    Returns:
        ids of the lost jobs.
    """
    lost: dict[str, int] = {}  # looks in a row that found it so
    never: dict[QueuedJob, int] = {}
    while True:
        time.sleep(LOOK_S)
        reuse_nodes(executor)
        never = {job: never.get(job, 0) + 1 for job in read_queue() or [] if job.never_starts}
        _cancel_with_reason([job for job, looks in never.items() if looks >= NEVER_STARTS])
        with executor.lock:
            active = {str(job.external_jobid) for job in executor.active_jobs}
        if (known := read_known_ids()) is None:
            continue
        lost = {jobid: lost.get(jobid, 0) + 1 for jobid in active - known}
        if found := {jobid for jobid, looks in lost.items() if looks >= LOST}:
            return found


def _cancel_with_reason(jobs: list[QueuedJob]) -> None:
    """Cancel jobs that can never start; the reason goes where SLURM would have written the job's log."""
    for job in jobs:
        text = f"ERROR {job.comment}: SLURM can never start job {job.jobid} ({job.place}); "
        text += "ask for less, or name another partition in the config's block cluster"
        notify(text)
        rule, _, values = job.comment.partition("_wildcards_")
        with contextlib.suppress(OSError), atomic(SLURM_LOGS / rule / values / f"{job.jobid}.log") as log:
            log.write_text(f"{text}\n")
    cancel(jobs)
