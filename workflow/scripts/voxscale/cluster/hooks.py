"""What the Snakefile calls before the graph of jobs is built and before the first job."""

import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxscale.cluster.locks import free_dead_lock, leave_record, remove_records
from voxscale.cluster.patches import cancel_all, correct_states, hasten_graph, submit_patiently
from voxscale.cluster.queue import QueuedJob, read_queue
from voxscale.cluster.takeover import restart, settle, without_stuck
from voxscale.cluster.watch import find_lost
from voxscale.io import require_writable

_earlier: Sequence[QueuedJob] | None = []  # jobs in the cluster before the graph was built; None: not known


def before_graph(results: str | Path = "results") -> None:
    """Free the lock of a killed run, note its jobs, and make the graph's construction fast.

    Called by the run itself, not in its jobs.

    Raises:
        UserError: the working directory cannot be written to.
    """
    global _earlier
    require_writable(Path(results))
    hasten_graph()
    free_dead_lock()
    leave_record()
    _earlier = read_queue() if shutil.which("squeue") else []
    _earlier = _earlier and without_stuck(_earlier)


def before_jobs(workflow: Any) -> None:
    """Wait for the jobs of an earlier run, then look after those of this one; called on start.

    Raises:
        UserError: SLURM does not answer.
    """
    remove_records()  # of others, since this run has the lock
    leave_record()
    if workflow.local_exec:
        return
    # A job may also have ended while the graph was built, which counted its outputs as missing.
    if settle() or _earlier != []:
        restart(workflow, "The jobs of an earlier run have ended, and what they made is used")
    executor = workflow.scheduler._executor
    correct_states(sys.modules[type(executor).__module__])
    submit_patiently(executor)
    cancel_all(executor)
    threading.Thread(target=_look_after, args=(workflow, executor), daemon=True).start()


def _look_after(workflow: Any, executor: Any) -> None:
    lost = find_lost(executor)
    restart(workflow, f"SLURM has forgotten jobs that Snakemake waits for ({' '.join(sorted(lost))})")
