"""Runs on a real cluster: where jobs go, kills and resumes, two runs at once."""

import os
import random
import signal
import time

import pytest
from slurm.drive import CELL, FITS, PATIENCE_S, until

pytestmark = pytest.mark.slurm
KILLS = int(os.environ.get("VOXSCALE_KILLS", "3"))  # 20 for docs/reliability.md
GPU_RULES = ("extract_language_features", "extract_speech_features")


def test_every_rule_runs_where_it_should_with_what_it_asked_for(whole):
    jobs = whole.settled_jobs()
    rules = {job.comment.removeprefix("rule_").split("_wildcards")[0] for job in jobs}
    assert {"scan_phantom", "prepare_responses", "fit_encoding", "gather_scores", *GPU_RULES} <= rules
    for job in jobs:
        on_gpu = any(rule in job.comment for rule in GPU_RULES)
        assert job.partition == ("gpu" if on_gpu else "cpu"), job
        assert ("gres/gpu=1" in job.tres) == on_gpu, job
    assert {state for *_, state in [(job.state,) for job in jobs]} == {"COMPLETED"}
    assert "all" in whole.status()


def test_memory_was_asked_for_within_a_factor_of_three(whole):
    from voxscale.usage import compare

    compared = [row for row in compare(whole.folder / "study.yaml", whole.folder) if row.sampled]
    assert {"fit_encoding", *GPU_RULES} <= {row.rule for row in compared}
    for row in compared:
        assert 1 <= row.predicted_mb / row.measured_mb <= 3, row


def test_killed_at_random_moments_and_resumed_at_once(whole, sweep):
    moments = random.Random(time.time())
    told = []
    for _ in range(KILLS):
        run = sweep.start()
        until(
            "a submission, or the end",
            lambda run=run: "has been submitted" in sweep.text or run.poll() is not None,
        )
        time.sleep(moments.uniform(0, 8))
        run.send_signal(signal.SIGKILL)
        run.wait()
        told.append(sweep.text)
    told.append(sweep.finish())
    assert sweep.digests() == whole.digests()
    assert sweep.twice_at_once() == []
    fits = {unit: n for unit, n in sweep.completed().items() if "fit_encoding" in unit}
    assert set(fits.values()) == {1}
    assert len(fits) == FITS
    assert any("was killed; its lock is removed" in text for text in told)
    again = sweep.finish("--dry-run")
    assert "Nothing to be done" in again


def test_a_second_run_at_once_says_so_and_harms_nothing(whole, sweep):
    first = sweep.start()
    sweep.running_fit()
    log = sweep.log
    refused = sweep.finish(status=1)
    assert "cannot be locked" in refused
    assert "scancel" not in refused
    sweep.log = log
    assert first.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert sweep.digests() == whole.digests()
    assert set(sweep.completed().values()) == {1}


def test_interrupted_terminated_and_cancelled_from_another_shell(whole, sweep):
    run = sweep.start()
    jobid, _, unit, _ = sweep.running_fit()
    os.system(f"scancel {jobid}")
    until("the retry", lambda: any(j[2] == unit and j[0] != jobid for j in sweep.queue()))
    run.send_signal(signal.SIGTERM)  # nothing new, and an end when what is submitted has ended
    assert run.wait(PATIENCE_S) != 0
    assert sweep.queue() == []
    if len(sweep.digests()) < FITS:
        run = sweep.start()
        sweep.running_fit()
        run.send_signal(signal.SIGINT)
        run.wait(120)
        until("jobs cancelled", lambda: sweep.queue() == [], seconds=60)
    sweep.finish()
    assert sweep.digests() == whole.digests()
    assert sweep.twice_at_once() == []


def test_status_follows_a_run(sweep):
    target = CELL.format("UTS01", 2)
    assert "failed" in sweep.status()
    run = sweep.start(target=target)
    sweep.running_fit()
    fits = next(line.split() for line in sweep.status().splitlines() if line.startswith("fit_encoding"))
    assert fits[2] == "1"  # running
    assert run.wait(PATIENCE_S) == 0
    fits = next(line.split() for line in sweep.status().splitlines() if line.startswith("fit_encoding"))
    assert fits[1] == "1"  # done
