"""What a run prints: one line for each job that ends, how far the run is, and how long it may still take.

Snakemake's own output, with inputs, outputs and resources of each job, is in `.snakemake/log/`, or on the
terminal with `--verbose`.
"""

import logging
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tqdm import tqdm

from voxscale.errors import no_space
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.rules import RULES
from voxscale.progress import CLEAR

EVERY_S = 60.0  # between two lines of a log file that say how far the run is
WIDTH = 72  # characters of the bar with its words
# What Snakemake reports without an event, and is worth a line.
_NEWS = ("Terminating", "Will exit", "Complete log", "Elapsed time")
_FAILED = "At least one job did not complete successfully."
_AGAIN = re.compile(r"Trying to restart job (\d+)")


class Remaining:
    """The time that a run may still take, from what its jobs took so far.

    A rule's jobs are expected to take what the plan says, times the ratio of measured to planned time of
    those of the same rule that have ended; the jobs side by side are as many as they were on average.

    Args:
        planned: seconds that the plan expects of each job of the run.
    """

    def __init__(self, planned: Mapping[Any, float], rule_of: Mapping[Any, str]) -> None:
        self._left, self._rule_of = dict(planned), rule_of
        self._planned: defaultdict[str, float] = defaultdict(float)  # of ended jobs, by rule
        self._taken: defaultdict[str, float] = defaultdict(float)

    def end(self, job: Any, seconds: float) -> None:
        """Note what a job took; one that the plan does not know counts for nothing."""
        if rule := self._rule_of.get(job):
            self._planned[rule] += self._left.pop(job, 0.0)
            self._taken[rule] += seconds

    def seconds(self, running: Mapping[Any, float], elapsed: float) -> float | None:
        """Seconds until the run's end; None before any job has ended.

        Args:
            running: seconds that each job at work has been at it.
            elapsed: seconds since the first job began.
        """
        planned, taken = sum(self._planned.values()), sum(self._taken.values())
        if not planned or not taken or not elapsed:
            return None
        ratio = {rule: self._taken[rule] / each for rule, each in self._planned.items() if each}
        left = 0.0
        for job, expected in self._left.items():
            whole = expected * ratio.get(self._rule_of[job], taken / planned)
            left += max(0.0, whole - running.get(job, 0.0))
        side_by_side = (taken + sum(running.values())) / elapsed
        return left / max(1.0, side_by_side)


class Terminal(logging.Formatter):
    """Prints a line for each job that ends, and below the lines of a terminal a bar.

    Args:
        jobs: those of the study, for the time that each is expected to take.
        todo: number, rule and wildcards of each job of the run.
        drawn: whether a bar can be drawn; in a log file it is a line a minute.
    """

    def __init__(self, jobs: Jobs, todo: Iterable[tuple[int, str, Mapping[str, str]]], drawn: bool) -> None:
        super().__init__()
        self._jobs = {number: Job(rule, dict(wildcards)) for number, rule, wildcards in todo}
        known = {number: job for number, job in self._jobs.items() if job.rule in RULES}
        planned = {number: jobs.need(job).seconds for number, job in known.items()}
        self._remaining = Remaining(planned, {number: job.rule for number, job in known.items()})
        self._running: dict[int, float] = {}
        self._drawn, self._done, self._clear = drawn, 0, CLEAR if drawn else ""
        self._began = self._said = time.time()
        self._stopped = False

    def stop(self) -> None:
        """From now on the jobs that end were stopped by the user."""
        self._stopped = True

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is worth a line; notes which jobs have begun."""
        event = getattr(record, "event", None)
        if event == "job_info":
            self._jobs.setdefault(record.jobid, Job(record.rule_name, record.wildcards))
            self._running[record.jobid] = time.time()
        if event == "error":  # what ends the run itself; a job's script has said why the job failed
            return record.exception != "RuleException" and not record.getMessage().endswith(_FAILED)
        if event is not None:
            return event in ("job_finished", "job_error")
        text = record.getMessage()
        return record.levelno > logging.INFO or text.startswith(_NEWS) or bool(_AGAIN.match(text))

    def format(self, record: logging.LogRecord) -> str:
        event, text = getattr(record, "event", None), record.getMessage()
        if event == "job_finished":
            text = self._end(record.job_id)
        elif event == "job_error":
            text = self._fail(record)
        elif event == "error" and (full := no_space(OSError(text))):
            text = f"ERROR {full}; free some and run again, finished files are kept"
        elif again := _AGAIN.match(text):
            text = f"tried again: {self._name(int(again[1]))}"
        if not event or self._stopped or self._done == len(self._jobs):
            return self._clear + text + "\n"
        return f"{self._clear}{text}\n{self._progress()}"

    def _name(self, number: int) -> str:
        job = self._jobs[number]
        return " ".join([job.rule, *(f"{key}={value}" for key, value in job.wildcards.items())])

    def _end(self, number: int) -> str:
        seconds = time.time() - self._running.pop(number, time.time())
        self._done += 1
        self._remaining.end(number, seconds)
        width = len(str(len(self._jobs)))
        return f"{self._done:{width}}/{len(self._jobs)} {self._name(number)} {seconds:.0f} s"

    def _fail(self, record: Any) -> str:
        self._running.pop(record.jobid, None)
        if not self._stopped:
            time.sleep(0.5)  # a job may feel Ctrl-C before Snakemake does
        if self._stopped:
            return f"stopped: {self._name(record.jobid)}"
        said = f": {record.rule_msg}" if record.rule_msg else ""
        logs = "".join(f"\n    {log}" for log in record.log)
        return f"FAILED {self._name(record.jobid)}{said}{logs}"

    def _progress(self) -> str:
        """The bar, to be written over by the next line; in a log file a line that stays, or none yet."""
        now = time.time()
        if not self._drawn and now - self._said < EVERY_S:
            return ""
        self._said = now
        running = {number: now - since for number, since in self._running.items()}
        left = self._remaining.seconds(running, now - self._began)
        words = f", about {tqdm.format_interval(left)} left" if left else ""
        form = "{percentage:3.0f}%|{bar}| {n}/{total}" + words
        meter = tqdm.format_meter(self._done, len(self._jobs), now - self._began, WIDTH, bar_format=form)
        return meter if self._drawn else f"{meter}\n"


def quiet_terminal(jobs: Jobs, workflow: Any) -> None:
    """Let a run print a line for each job, unless `--verbose` asks for all that Snakemake says."""
    if workflow.output_settings.verbose:
        return
    logging.raiseExceptions = False  # else a full disk prints a traceback for each line of Snakemake's log
    todo = [
        (workflow.dag.jobid(job), job.rule.name, job.wildcards_dict) for job in workflow.dag.needrun_jobs()
    ]
    for handler in logging.getLogger("snakemake.logging").handlers:
        stream = getattr(handler, "stream", None)
        if stream in (sys.stderr, sys.stdout):
            terminal = Terminal(jobs, todo, stream.isatty())
            handler.addFilter(terminal)
            handler.setFormatter(terminal)
            handler.terminator = ""
            for number in (signal.SIGINT, signal.SIGTERM):
                _before(number, terminal.stop)


def _before(number: int, call: Callable[[], None]) -> None:
    """Call a function before what a handler of a signal does, if there is one."""
    now = signal.getsignal(number)
    if callable(now):

        def first(*signalled: Any) -> None:
            call()
            now(*signalled)

        signal.signal(number, first)
