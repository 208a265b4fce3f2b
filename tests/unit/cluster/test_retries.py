"""How often a job is tried again depends on how it ended."""

import os
import time
import types

import pytest
from snakemake.jobs import Job

from voxscale.cluster import retries

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'
ENDS = {
    "mistake": ("ERROR fit_encoding: results/responses/UTS01.h5: damaged; delete it\n", 0),
    "mistake with its cause": (
        f"{TRACEBACK}ValueError: cut off\nERROR fit_law: laws.size: too few; add some\n",
        0,
    ),
    "unknown": (f"a warning\n{TRACEBACK}KeyError: 'r'\n", retries.UNKNOWN),
    "memory": (f"{TRACEBACK}RuntimeError: DefaultCPUAllocator: can't allocate memory\n", None),
    "time, memory or node": ("cells: 40%|####    | 4/10 [00:10<00:15]\n", None),
    "disk": ("ERROR fit_encoding: results/: no space left on the disk; free some and run again\n", None),
    "network": ("ERROR prepare_model: model opt-125m: x could not be fetched; try again (reset)\n", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_mistake_is_not_tried_again_and_an_unknown_error_once(tmp_path, end):
    log, (text, most) = tmp_path / "x.log", ENDS[end]
    assert retries.retries_after(log, 0) is None
    log.write_text(text)
    assert retries.retries_after(log, time.time() - 60) == most
    assert retries.retries_after(log, time.time() + 60) is None  # that of an earlier run


def test_snakemake_asks_how_often(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Job, "restart_times", Job.restart_times)
    log = tmp_path / "x.log"
    log.write_text(ENDS["mistake"][0])
    os.utime(log, (1e9, 1e9))
    retries.retry_with_reason()
    job = types.SimpleNamespace(rule=types.SimpleNamespace(restart_times=2), log=[str(log)])
    restart_times = Job.restart_times.fget
    assert restart_times(job) == 2  # its node was lost before its script began
    log.write_text(ENDS["mistake"][0])
    os.utime(log, (time.time() + 5, time.time() + 5))
    assert restart_times(job) == 0
    assert (
        "Not tried again, since the outcome would be the same. ERROR fit_encoding" in capsys.readouterr().err
    )
    job.rule.restart_times = 0
    assert restart_times(job) == 0
    assert capsys.readouterr().err == ""
