"""How long a run may still take and what its jobs wait for, from any shell."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from voxscale.cluster import QueuedJob
from voxscale.errors import UserError
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.notes import file_of
from voxscale.jobs.status import Seen
from voxscale.jobs.terminal import Remaining
from voxscale.jobs.text import duration
from voxscale.jobs.usage import read_benchmark


def describe_outlook(
    jobs: Jobs,
    seen: Sequence[Seen],
    queue: Sequence[QueuedJob] | None,
    began: float | None,
    lost_nodes: Callable[[], Sequence[str]],
) -> str:
    """The time left, what jobs in the queue wait for, and the nodes that take no jobs if any waits.

    Args:
        queue: living jobs of the cluster; None without one.
        began: when the run that is alive began, s since the epoch; None without one.
        lost_nodes: asks for these nodes.
    """
    lines = []
    if began is not None:
        lines.append(_time_left(jobs, seen, {job.comment: job.seconds for job in queue or ()}, began))
    if waiting := Counter(job.waits for job in queue or () if job.is_pending):
        lines += [f"Jobs that wait {what}: {n}." for what, n in waiting.most_common()]
        if nodes := lost_nodes():
            lines.append(f"Nodes that take no jobs: {', '.join(nodes)}.")
    return "\n".join(lines)


def _time_left(jobs: Jobs, seen: Sequence[Seen], queued: Mapping[str, float], began: float) -> str:
    """The time left in words, from what the jobs of a run took so far."""
    ended, running, planned = {}, {}, {}
    now = first = time.time()
    for i, (job, state, *_) in enumerate(seen):
        if state == "done":
            try:
                written = job.benchmark.stat().st_mtime
                if written < began:
                    continue
                ended[i] = float(read_benchmark(job.benchmark)["s"])
            except (OSError, UserError, LookupError, ValueError):
                continue
            first = min(first, written - ended[i])
        elif state == "running":
            mark = file_of(job.output, "incomplete")
            running[i] = queued.get(job.comment) or (now - mark.stat().st_mtime if mark.exists() else 0.0)
        planned[i] = jobs.need(job).seconds
    remaining = Remaining(planned, {i: seen[i].job.rule for i in planned})
    for i, seconds in ended.items():
        remaining.end(i, seconds)
    first = min([first, *(now - seconds for seconds in running.values())])
    left = remaining.seconds(running, now - first)
    if left is None:
        return "A run goes on; how long it may take is known when its first job has ended."
    counts = f"jobs ended: {len(ended)}, running: {len(running)}"
    return f"A run goes on ({counts}), about {duration(max(left, 60.0))} left."
