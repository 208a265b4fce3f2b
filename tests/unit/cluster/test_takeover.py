"""Jobs of a killed run that are still in the cluster."""

import types

import pytest
from slurm_queue import job

from voxscale.cluster import takeover
from voxscale.errors import UserError


def test_pending_jobs_are_cancelled_and_running_ones_waited_for(cluster, capsys):
    both = [job("1", "RUNNING"), job("2", "PENDING")]
    assert cluster.settle(both, [job("1", "RUNNING")], [job("1", "COMPLETING")], []) == 2
    assert cluster.cancelled == ["2"]
    assert cluster.slept == 3 * takeover.POLL_S
    assert "waiting for 1 that run (1 running). To cancel these too: scancel 1\n" in capsys.readouterr().err


def test_pending_jobs_of_another_user_are_waited_for_and_those_of_a_living_run_are_not(
    cluster, capsys, monkeypatch
):
    hers = job("2", "PENDING", "Priority")._replace(user="alice")
    living = job("3", "PENDING")._replace(run="voxscale_living")
    holder = types.SimpleNamespace(state="alive", about={"run": "voxscale_living"})
    monkeypatch.setattr(takeover, "holders", lambda: [holder])
    assert cluster.settle([hers, living], [living]) == 1
    assert cluster.cancelled == []
    said = "waiting for 1 that run or are another user's (2 pending Priority alice). To cancel these too: "
    assert f"{said}scancel 2" in capsys.readouterr().err


def test_each_minute_it_says_what_is_waited_for_and_where(cluster, capsys):
    minutes = 3
    cluster.settle(*[[job("1", "RUNNING", "cpu1")]] * int(minutes * takeover.NOTICE_S / takeover.POLL_S))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == minutes
    assert all("(1 running cpu1)" in line for line in said)


def test_a_job_that_slurm_cannot_end_is_given_up_and_one_that_runs_is_not(cluster, monkeypatch, capsys):
    monkeypatch.setenv(takeover.STUCK, "")
    looks = int(takeover.COMPLETING_S / takeover.POLL_S) + 1
    stuck = job("1", "COMPLETING", "cpu1")
    states = [*[[stuck, job("2", "RUNNING", "cpu2")]] * (2 * looks), *[[stuck]] * looks]
    assert cluster.settle(*states) == 2
    # One question more than looks: it is asked once again when the job is given up.
    assert cluster.slept == (2 * looks - 1) * takeover.POLL_S
    assert "SLURM cannot end jobs of an earlier run (1 completing cpu1)" in capsys.readouterr().err
    # A new start does not wait for it again, nor start again once more.
    assert cluster.settle(*[[stuck]] * looks) == 0
    assert cluster.slept == 0


def test_an_empty_queue_costs_no_time(cluster):
    assert cluster.settle([]) == 0
    assert cluster.slept == 0


def test_a_silent_cluster_is_waited_for_and_never_taken_for_an_empty_one(cluster):
    assert cluster.settle(None, None, [job("1", "RUNNING")], None, []) == 1
    with pytest.raises(UserError, match="squeue: no answer for 10 minutes"):
        cluster.settle(*[None] * 10_000)
