"""Jobs that sbatch refuses: its words, and the config's key to change, go where a job's log would be."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

from voxscale.cluster.queue import SLURM_LOGS
from voxscale.io import atomic

REFUSES = "sbatch refuses"  # in the one line of such a log
# Keys of the config's `cluster` that sbatch's words are about; the first that matches.
_KEYS = (
    (r"\baccount\b", "account"),
    (r"\bqos\b", "qos"),
    (r"feature", "constraint"),
    (r"gres|generic resource", "gres"),
    (r"time limit", "max_minutes"),
    (r"option", "extra"),
)


def keep_refusals(executor: Any, place: Callable[[Any, str], str]) -> None:
    """Let a run write down why sbatch refuses a job, for its end and for `make status`.

    Args:
        executor: of the run.
        place: where a key of the cluster that a job runs in is written.

    ASSUME: Snakemake's executor for SLURM reports a job that has no id yet only if its submission failed.
    """
    report = executor.report_job_error

    def report_job_error(info: Any, msg: str | None = None, **more: Any) -> None:
        if info.external_jobid is None and (words := sbatch_words(msg or "")):
            job = info.job
            msg = f"ERROR {job.name}: {REFUSES} the job: {words}; change {place(job, key_of(words))}"
            folder = SLURM_LOGS / f"rule_{job.name}" / "_".join(job.wildcards)
            with contextlib.suppress(OSError), atomic(folder / "sbatch.log") as log:
                log.write_text(f"{msg}\n")
        report(info, msg=msg, **more)

    executor.report_job_error = report_job_error


def sbatch_words(message: str) -> str:
    """What sbatch said, or what the executor asked before it, in one line; empty for anything else."""
    found = re.search(r"The error message was '(.*?)'\.\n", message, flags=re.DOTALL)
    found = found or re.search(r"submission failed with exception: (.*)", message, flags=re.DOTALL)
    if found is None:
        return ""
    lines = (re.sub(r"^\s*(sbatch: )?(error: )?", "", line) for line in found.group(1).splitlines())
    return "; ".join(dict.fromkeys(filter(None, lines)))


def key_of(words: str) -> str:
    """The key of the config's `cluster` that sbatch's words are about."""
    return next((key for pattern, key in _KEYS if re.search(pattern, words, re.IGNORECASE)), "partition")
