"""What the Snakefile calls before the graph of jobs is built and before the first job."""

import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from voxscale.cluster.locks import free_dead_lock, leave_record
from voxscale.cluster.patches import (
    cancel_all,
    correct_states,
    hasten_graph,
    keep_late_folders,
    submit_patiently,
)
from voxscale.cluster.queue import QueuedJob, read_queue
from voxscale.cluster.refusals import keep_refusals
from voxscale.cluster.takeover import left_behind, restart, settle
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
    # Which executor the run has is not known yet.
    _earlier = read_queue() if shutil.which("squeue") else []
    _earlier = _earlier and left_behind(_earlier)


def before_jobs(workflow: Any, place: Callable[[Any, str], str], takes_over: bool = True) -> None:
    """Wait for the jobs of an earlier run, then look after those of this one; called on start.

    Args:
        workflow: Snakemake's.
        place: where a key of the cluster that a job runs in is written, for what sbatch refuses.
        takes_over: whether this run may make what an earlier one was making.

    Raises:
        UserError: SLURM does not answer.
    """
    keep_late_folders()
    if not submits_to_slurm(workflow):
        return
    # A job may also have ended while the graph was built, which counted its outputs as missing.
    if takes_over and (settle() or _earlier != []):
        restart(workflow, "The jobs of an earlier run have ended, and what they made is used")
    executor = workflow.scheduler._executor
    leave_record(run=getattr(executor, "run_uuid", None))
    correct_states(sys.modules[type(executor).__module__])
    submit_patiently(executor)
    keep_refusals(executor, place)
    cancel_all(executor)
    threading.Thread(target=_look_after, args=(workflow, executor), daemon=True).start()


def submits_to_slurm(workflow: Any) -> bool:
    """Whether a run's jobs go to SLURM. With other schedulers, locks and retries alone are this room's."""
    return workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm"


def _look_after(workflow: Any, executor: Any) -> None:
    lost = find_lost(executor)
    restart(workflow, f"SLURM has forgotten jobs that Snakemake waits for ({' '.join(sorted(lost))})")
