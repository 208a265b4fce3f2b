"""How far a study is, at any time: `voxscale status --configfile config/paper.yaml`.

Reads files and asks squeue, nothing else. A job is done when its output exists; running or waiting when the
queue has it, or, in a run on this machine, when Snakemake has marked its output as being written; outdated
when its output exists but its settings or inputs have changed; failed when it is none of these and has
written a log since it last succeeded; else missing.
"""

import contextlib
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from voxscale.cluster import SLURM_LOGS, QueuedJob, holders
from voxscale.encoding import FITTING
from voxscale.jobs.cells import FittedCells
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.notes import Settings
from voxscale.jobs.plan import OUTDATED
from voxscale.jobs.text import table
from voxscale.progress import notify
from voxscale.study import Cell

STATES = ("done", "running", "waiting", "outdated", "failed", "missing")
ENDING_S = 5.0  # in which a job that has come to its end may still write to what SLURM keeps
SHOWN = 5  # jobs of a rule that failed for the same reason
TAIL = 400  # characters of a failed job's log
# The most informative line of a log: SLURM's reason, else the script's, else any other error.
REASONS = (
    r"exceeded memory|DUE TO|oom.kill|CANCELLED AT|can never start|sbatch refuses",
    r"\bERROR\b",
    r"(?i)error",
)


# The time that a progress bar states: it says how far a job was, not why it ended.
BAR = re.compile(r"\[\d+:\d\d(:\d\d)?[<,]")


class Seen(NamedTuple):
    """A job, its state, the log of its failure, and the cells that it fits: those done, and the others."""

    job: Job
    state: str
    log: Path | None = None
    done: Sequence[Cell] = ()
    left: Sequence[Cell] = ()


def _written(path: Path) -> float:
    """When a file was last written, s; minus infinity without one."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return -math.inf


def failure_log(job: Job) -> Path | None:
    """The most informative log of a failed job: the rule's, or SLURM's.

    A success leaves logs as well, and after them a benchmark, which a job that failed or was killed does not.
    """
    folder = SLURM_LOGS / f"rule_{job.rule}" / "_".join(job.wildcards.values())
    kept = max(folder.glob("*.log"), key=_written, default=None)
    ended = _written(job.benchmark)
    own = job.log if _written(job.log) > ended else None
    if kept is None or _written(kept) <= ended + ENDING_S:
        return own
    if own is None or not own.stat().st_size:
        return kept
    later = _written(kept) - _written(own)
    # If SLURM or the node ended the job, the script's own log stops long before SLURM's.
    return kept if later > 60 or (later >= 0 and _matching(kept, REASONS[0])) else own


def job_states(
    jobs: Jobs, queue: Sequence[QueuedJob] | None, started: Iterable[str], running: bool
) -> list[Seen]:
    """State of every job.

    Args:
        queue: living jobs of the cluster; None without one.
        started: outputs that Snakemake has marked as being written.
        running: whether a run holds the directory.
    """
    queued = {job.comment: "waiting" if job.is_pending else "running" for job in queue or ()}
    started, settings, fits = set(started), Settings(jobs), FittedCells(jobs.study)
    seen = []
    for job in jobs.all():
        there = fits.is_done(job)
        outdated = settings.differ(job, there)
        if there and not outdated and str(job.output) not in started:
            seen.append(Seen(job, "done"))
        elif job.comment in queued:
            seen.append(Seen(job, queued[job.comment]))
        elif str(job.output) in started and running and (not queue or job.record.local):
            seen.append(Seen(job, "running"))
        elif outdated:
            seen.append(Seen(job, "outdated"))
        elif (log := failure_log(job)) is not None:
            seen.append(Seen(job, "failed", log))
        else:
            seen.append(Seen(job, "missing"))
        if job.rule == "fit_encoding":
            seen[-1] = seen[-1]._replace(**fits.split(job, done=seen[-1].state == "done"))
    return seen


def _counted(groups: Mapping[str, Counter[str]], name: str) -> list[str]:
    header = (name, *STATES, "all")
    return table(
        header,
        (
            (group, *(count[state] or "-" for state in STATES), count.total())
            for group, count in groups.items()
        ),
    )


def _lines(path: Path) -> list[str]:
    """The last lines of a log, without progress bars."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8 * TAIL))
        lines = map(str.strip, file.read().decode(errors="replace").splitlines())
    return [line for line in lines if line and not BAR.search(line)]


def _matching(path: Path, pattern: str) -> list[str]:
    return [line for line in _lines(path) if re.search(pattern, line)]


def tail(path: Path) -> str:
    """The last words of a log, one line."""
    found = next((lines for pattern in REASONS if (lines := _matching(path, pattern))), None) or _lines(path)
    empty = "(empty: it was killed before it wrote anything, or files are seen late: raise --latency-wait)"
    return (found or [empty])[-1][-TAIL:]


def describe_states(seen: Sequence[Seen], cells: bool = False) -> str:
    """Counts of each rule, of each model's fits by training size, and the log of each failure.

    Args:
        cells: every cell on a line of its own, instead of counts.
    """
    rules: dict[str, Counter[str]] = {}
    fits: dict[str, Counter[str]] = {}
    rows: list[tuple[object, ...]] = []
    for one in seen:
        rules.setdefault(one.job.rule, Counter())[one.state] += 1
        by_state = [*((cell, "done") for cell in one.done), *((cell, one.state) for cell in one.left)]
        for cell, state in by_state:
            fits.setdefault(f"{cell.model} n_train={cell.n_train}", Counter())[state] += 1
            rows.append((*cell, state))
    lines = _counted(rules | {"all": sum(rules.values(), Counter())}, "rule")
    lines += ["", *(table((*Cell._fields, "state"), rows) if cells else _counted(fits, "fits"))]
    if outdated := sum(one.state == "outdated" for one in seen):
        lines += ["", f"{outdated} outputs {OUTDATED}."]
    return "\n".join([*lines, "", failures(seen)] if any(one.log for one in seen) else lines)


def failures(seen: Sequence[Seen]) -> str:
    """The log of each job that failed or was stopped, and its last words."""
    ended = [(one.job, one.log) for one in seen if one.log]
    stopped = sum(not _lines(log) for _, log in ended)
    counts = {"failed": len(ended) - stopped, "stopped before the end": stopped}
    lines = [", ".join(f"{n} {how}" for how, n in counts.items() if n)] if ended else []
    lines = [f"{line}; running the workflow again tries them again:" for line in lines]
    same: dict[tuple[str, str], list[str]] = {}  # jobs of a rule that ended with the same words
    for job, log in ended:
        unit = f"  {job.rule} {' '.join(job.wildcards.values())}: {log}"
        if doing := [line for line in _lines(log) if line.startswith(FITTING)]:
            unit += f"\n    while {doing[-1]}; finished cells are kept"
        same.setdefault((job.rule, tail(log)), []).append(unit)
    for (rule, words), units in same.items():
        more = [f"  and {len(units) - SHOWN} more of {rule}"] if len(units) > SHOWN else []
        lines += [*units[:SHOWN], *more, f"    {words}"]
    if ended:
        lines.append("For a report of the models and subjects that are finished: voxscale report --partial")
    return "\n".join(lines)


def print_failures(jobs: Jobs, since: float, base: Path = Path()) -> None:
    """Print, after a failed run, the log of each job that failed in it and its last words, or SLURM's reason.

    Args:
        since: when the run began, seconds of `time.time`; logs before are of earlier runs.
        base: prefix of all paths, where another workflow uses this one as a module.
    """
    if not base.is_dir():  # the run failed before any job of this workflow
        return
    with contextlib.chdir(base):
        seen = job_states(jobs, [], [], running=False)
        seen = [one for one in seen if one.log and _written(one.log) >= since]
    if seen:
        notify(failures([one._replace(log=base / one.log) for one in seen]))


def clear_slurm_logs(jobs: Jobs, base: Path = Path()) -> None:
    """Remove SLURM's logs of jobs that have ended well since, and the folders that are empty then.

    A run that was killed leaves them: its executor would have removed them one by one. While another run is
    alive they stay, since a job that is to write its log into such a folder would fail without it.
    """
    logs = base / SLURM_LOGS
    if not logs.is_dir() or sum(holder.state == "alive" for holder in holders()) > 1:
        return
    ended = {
        logs / f"rule_{job.rule}" / "_".join(job.wildcards.values()): job.benchmark for job in jobs.all()
    }
    for log in logs.rglob("*.log"):
        if _written(log) <= _written(base / ended.get(log.parent, "none")) + ENDING_S:
            log.unlink(missing_ok=True)
    for folder in [*sorted((path for path in logs.rglob("*") if path.is_dir()), reverse=True), logs]:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def farewell(report: str | Path, made: bool) -> str:
    """What to look at when a run has ended well.

    Args:
        report: path of the study's report.
        made: whether the run was asked for the report, so that it is up to date.
    """
    path = Path(report).absolute()
    if made and path.exists():
        return f"Done. Open {path}; tables and figures are in the same folder."
    text = "Done with the requested files; the report is made with the whole study."
    if path.exists():
        written = time.strftime("%d %B %Y, %H:%M", time.localtime(_written(path)))
        text += f" {path} is of {written}: this run has not compared it with the files as they are now."
    return text
