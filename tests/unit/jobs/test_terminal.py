"""What a run prints: a line for each job that ends, a bar, and no failure where the user stopped it."""

import logging
import os
import re
import signal
import sys
from types import SimpleNamespace

import pytest

from voxscale.jobs.terminal import Remaining, Terminal, quiet_terminal
from voxscale.progress import CLEAR
from voxscale.script import _Tee

FITS = [
    (n, "fit_encoding", {"model": f"m{n}", "layer": "2", "subject": "S1", "n_train": "4"}) for n in (1, 2)
]
PRICES = SimpleNamespace(need=lambda job: SimpleNamespace(seconds=60.0))


def said(terminal, event=None, message="", level=logging.INFO, **more):
    """What the terminal prints of one report of Snakemake; None if nothing."""
    record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    vars(record).update(more | ({"event": event} if event else {}))
    return terminal.format(record) if terminal.filter(record) else None


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("voxscale.jobs.terminal.time", SimpleNamespace(time=lambda: 1000.0, sleep=print))
    return Terminal(PRICES, [*FITS, (0, "all", {})], drawn=False)


def test_a_job_is_one_line_when_it_ends(terminal):
    assert said(terminal, "job_info", jobid=1, rule_name="", wildcards={}) is None
    assert said(terminal, "job_finished", job_id=1).splitlines() == [
        "1/3 fit_encoding model=m1 layer=2 subject=S1 n_train=4 0 s"
    ]


def test_a_failure_names_the_job_its_log_and_what_the_cluster_said(terminal):
    text = said(terminal, "job_error", level=logging.ERROR, jobid=2, rule_msg="OUT_OF_MEMORY", log=["a.log"])
    assert text.splitlines() == [
        "FAILED fit_encoding model=m2 layer=2 subject=S1 n_train=4: OUT_OF_MEMORY",
        "    a.log",
    ]


def test_a_job_that_the_user_stopped_did_not_fail(terminal):
    terminal.stop()
    text = said(terminal, "job_error", level=logging.ERROR, jobid=2, rule_msg=None, log=["a.log"])
    assert text == "stopped: fit_encoding model=m2 layer=2 subject=S1 n_train=4\n"


def test_warnings_and_retries_are_printed_and_the_rest_of_the_news_is_not(terminal):
    assert said(terminal, message="Select jobs to execute...") is None
    assert said(terminal, "progress", "1 of 3 steps", done=1, total=3) is None
    assert (
        said(terminal, message="squeue does not answer", level=logging.WARNING) == "squeue does not answer\n"
    )
    again = said(terminal, message="Trying to restart job 1.")
    assert again == "tried again: fit_encoding model=m1 layer=2 subject=S1 n_train=4\n"


def test_what_ends_snakemake_itself_is_printed(terminal):
    def ended(text, exception):
        return said(terminal, "error", text, logging.ERROR, exception=exception)

    full = ended("OSError: [Errno 28] No space left on device", "OSError")
    assert re.match(r"ERROR results/ or \S+: no space left on the disk, or no inodes; free some", full)
    assert "cannot be locked" in ended("LockException: the directory cannot be locked", "LockException")
    # Where a job failed, it has said so itself.
    assert ended("CalledProcessError in file", "RuleException") is None
    assert ended("WorkflowError:\nAt least one job did not complete successfully.", "WorkflowError") is None


def test_a_bar_is_written_over_by_the_next_line():
    terminal = Terminal(PRICES, [*FITS, (0, "all", {})], drawn=True)
    line, bar = said(terminal, "job_finished", job_id=1).split("\n")
    assert line.startswith(CLEAR)
    assert bar.startswith(" 33%|")
    assert "1/3" in bar
    assert said(terminal, message="Complete log(s): x").startswith(CLEAR)


def test_the_remaining_time_follows_from_what_jobs_of_the_rule_took():
    """Two rules, planned at 10 s a job; two jobs side by side; one rule takes 40 s, the other is unknown."""
    names = {n: "fit" if n < 6 else "draw" for n in range(8)}
    remaining = Remaining(dict.fromkeys(names, 10.0), names)
    assert remaining.seconds({}, 0.0) is None
    for job in (0, 1, 2, 3):
        remaining.end(job, 40.0)
    # In 80 s; two fits are half done, and the two figures follow the ratio of all.
    assert remaining.seconds({4: 0.0, 5: 0.0}, 80.0) == pytest.approx((80 + 80) / 2)
    assert remaining.seconds({4: 40.0, 5: 40.0}, 120.0) == pytest.approx(80 / 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_before_snakemake_acts_on_it(monkeypatch, number):
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logging.getLogger("snakemake.logging"), "handlers", [handler])
    monkeypatch.setattr("voxscale.jobs.terminal.time.sleep", print)
    failed = {"level": logging.ERROR, "jobid": 1, "rule_msg": None, "log": []}
    seen = []
    before = signal.signal(number, lambda *_: seen.append(said(handler.formatter, "job_error", **failed)))
    try:
        todo = [SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards_dict=w) for _, rule, w in FITS]
        dag = SimpleNamespace(needrun_jobs=lambda: todo, jobid=lambda job: todo.index(job))
        quiet_terminal(PRICES, SimpleNamespace(output_settings=SimpleNamespace(verbose=False), dag=dag))
        os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)
    assert seen == ["stopped: fit_encoding model=m2 layer=2 subject=S1 n_train=4\n"]


class Screen(list):
    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal

    def write(self, text):
        self.append(text)


@pytest.mark.parametrize(
    ("is_terminal", "seen"),
    [(True, "\r50% of 9\rcell 2" + CLEAR + "WARNING x\n"), (False, "WARNING x\n")],
)
def test_a_line_is_not_glued_to_a_bar(is_terminal, seen):
    screen, log = Screen(is_terminal), Screen(False)
    tee = _Tee(screen, log)
    for text in ("\r50% of 9", "\rcell 2\n", "WARNING ", "x", "\n"):
        tee.write(text)
    assert "".join(screen) == seen
    assert "".join(log) == "\r50% of 9\rcell 2\nWARNING x\n"
