"""Runs on a real cluster: where jobs go, kills and resumes, two runs at once, Ctrl-C and SIGTERM."""

import os
import random
import signal
import time

import pytest
from slurm.drive import FITS, PATIENCE_S, until

pytestmark = pytest.mark.slurm
KILLS = int(os.environ.get("VOXSCALE_KILLS", "3"))  # 20 for docs/reliability.md
GPU_RULES = ("extract_language_features", "extract_speech_features")


def test_every_rule_runs_where_it_should_with_what_it_asked_for(whole):
    jobs = whole.settled_jobs()
    rules = {job.comment.removeprefix("rule_").split("_wildcards")[0] for job in jobs}
    assert {
        "write_phantom_stimuli",
        "prepare_responses",
        "fit_encoding",
        "gather_scores",
        *GPU_RULES,
    } <= rules
    for job in jobs:
        on_gpu = any(rule in job.comment for rule in GPU_RULES)
        assert job.partition == ("gpu" if on_gpu else "cpu"), job
        assert ("gres/gpu=1" in job.tres) == on_gpu, job
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert len(whole.fits()) == FITS


def test_memory_was_asked_for_within_a_factor_of_three(whole):
    from voxscale.usage import compare

    compared = [row for row in compare(whole.folder / "study.yaml", whole.folder) if row.sampled]
    assert {"fit_encoding", *GPU_RULES} <= {row.rule for row in compared}
    for row in compared:
        assert 1 <= row.predicted_mb / row.measured_mb <= 3, row


def test_killed_at_random_moments_and_resumed_at_once(whole, tmp_path):
    moments, record = random.Random(time.time()), []
    left = KILLS
    while left:
        sweep = whole.copy_to(tmp_path / f"study-{left}")
        try:
            # One kill while fits run is certain; a study is killed until it is done.
            while left and (seconds := kill(sweep, moments, first=len(sweep.runs) == 0)) is not None:
                record.append((seconds, len(sweep.queue())))
                left -= 1
            told = sweep.finish()
            assert "cannot be locked" not in told
            assert sweep.digests() == whole.digests()
            assert sweep.twice_at_once() == []
            assert sweep.fits() == whole.fits()  # each once
            assert "Nothing to be done" in sweep.finish("--dry-run")
        finally:
            sweep.end()
    print(f"{len(record)} kills, (s after the start, jobs then in the cluster): {record}")


def kill(sweep, moments, first):
    """Kill a run, when a fit runs or at any moment; None where it had ended before."""
    run, began = sweep.start(), time.monotonic()
    if first:
        sweep.running_fit()
    time.sleep(moments.uniform(0, 3 if first else 15))
    if run.poll() is not None:
        return None
    run.send_signal(signal.SIGKILL)
    run.wait()
    return round(time.monotonic() - began, 1)


def test_a_second_run_at_once_says_so_and_status_tells_of_the_first(whole, sweep):
    first, log = sweep.start(), sweep.log
    sweep.hold(1)
    fits = next(line.split() for line in sweep.status().splitlines() if line.startswith("fit_encoding"))
    assert fits[2] != "-"  # running
    refused = sweep.finish(status=1)
    assert "cannot be locked" in refused
    assert "scancel" not in refused
    sweep.log = log
    sweep.let_go()
    assert first.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert sweep.digests() == whole.digests()
    assert set(sweep.completed().values()) == {1}
    fits = next(line.split() for line in sweep.status().splitlines() if line.startswith("fit_encoding"))
    assert fits[1] == str(FITS)  # done


def test_interrupted_and_terminated(whole, sweep):
    run = sweep.start()
    sweep.hold(1)
    run.send_signal(signal.SIGINT)
    run.wait(PATIENCE_S)
    until("jobs cancelled", lambda: sweep.queue() == [], seconds=60)
    run = sweep.start()
    sweep.running_fit()
    run.send_signal(signal.SIGTERM)  # nothing new, and an end when what is submitted has ended
    assert run.wait(PATIENCE_S) != 0
    assert sweep.queue() == []
    assert len(sweep.digests()) < len(whole.digests())
    sweep.finish()
    assert sweep.digests() == whole.digests()
    assert sweep.twice_at_once() == []
    # A job cancelled between its last file and its end is done and was never told complete.
    assert max(sweep.fits().values()) == 1
