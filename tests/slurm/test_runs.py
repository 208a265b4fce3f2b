"""Runs on a real cluster: where jobs go, kills and resumes, two runs at once, Ctrl-C and SIGTERM."""

import os
import random
import shutil
import signal
import subprocess
import time
from statistics import median

import pytest
from slurm.drive import FITS, PATIENCE_S, Sweep, until

pytestmark = pytest.mark.slurm
LONG = bool(os.environ.get("VOXSCALE_LONG"))
KILLS = int(os.environ.get("VOXSCALE_KILLS", "2"))  # 20 for docs/reliability.md
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


def test_the_overhead_of_a_job(whole):
    """Overhead of SLURM and Snakemake, for jobs that had the machine to themselves as on a separate node."""
    from voxscale.jobs import load_jobs
    from voxscale.jobs.plan import JOB_OVERHEAD_S
    from voxscale.jobs.usage import read_benchmark

    paths = {job.comment: job.benchmark for job in load_jobs(whole.folder / "study.yaml", whole.folder).all()}
    jobs = whole.settled_jobs()
    costs = {True: [], False: []}
    for job in jobs:
        alone = all(other.end <= job.start or job.end <= other.start for other in jobs if other != job)
        costs[alone].append(job.end - job.start - read_benchmark(whole.folder / paths[job.comment])["s"])
    for alone, name in ((True, "alone"), (False, "sharing")):
        found = sorted(costs[alone]) or [float("nan")]
        print(
            f"{len(costs[alone])} jobs {name}: {median(found):.1f} s each, {found[0]:.1f} to {found[-1]:.1f}"
        )
    assert median(costs[True]) <= 2 * JOB_OVERHEAD_S


def check_memory(study, *rules):
    """The requested memory of each job whose memory was sampled is 1 to 3 times the measured memory."""
    from voxscale.jobs import load_jobs, usages
    from voxscale.jobs.resources import CUDA

    compared = [row for row in usages(load_jobs(study.folder / "study.yaml", study.folder)) if row.sampled]
    assert set(rules) <= {row.rule for row in compared}
    # The cluster's GPUs are simulated, so that no process loads CUDA.
    rows = [(row, row.predicted_mb - (CUDA if row.rule in GPU_RULES else 0)) for row in compared]
    assert [row for row, predicted in rows if not 1 <= predicted / row.measured_mb <= 3] == []


def test_memory_was_asked_for_within_a_factor_of_three(whole):
    check_memory(whole, "fit_encoding", *GPU_RULES)


@pytest.mark.skipif(
    not LONG, reason="VOXSCALE_LONG=1 runs the whole study to its report, for docs/reliability.md"
)
def test_the_whole_study_ends_with_its_report_and_its_resources(whole, tmp_path):
    study = Sweep(shutil.copytree(whole.folder, tmp_path / "study", symlinks=True))
    study.finish(targets=("all", "results/resources.html"))
    assert (study.folder / "results/report.html").exists()
    page = (study.folder / "results/resources.html").read_text()
    # Laws and the stack of this small study end before their memory is sampled twice.
    for rule in ("prepare_model", "fit_encoding", "predict_encoding"):
        assert rule in page
    check_memory(study, "prepare_model", "fit_encoding", "predict_encoding")


def test_killed_at_random_moments_and_resumed_at_once(whole, tmp_path):
    moments, record = random.Random(time.time()), []
    left = KILLS
    while left:
        sweep = whole.copy_to(tmp_path / f"study-{left}")
        try:
            # The first kill is while fits run; a study is killed until it is finished.
            while left and (seconds := kill(sweep, moments, first=len(sweep.runs) == 0)) is not None:
                record.append((seconds, len(sweep.queue())))
                left -= 1
            text = sweep.finish()
            assert "cannot be locked" not in text
            assert sweep.digests() == whole.digests()
            assert sweep.twice_at_once() == []
            assert sweep.fits() == whole.fits()  # each once
            assert "Nothing to be done" in sweep.finish("--dry-run")
        finally:
            sweep.end()
    print(f"{len(record)} kills, (s after the start, jobs then in the cluster): {record}")


def kill(sweep, moments, first):
    """Kill a run, when a fit runs or at any time; None if it had ended before."""
    run, began = sweep.start(), time.monotonic()
    if first:
        sweep.running_fit()
    time.sleep(moments.uniform(0, 3 if first else 15))
    if run.poll() is not None:
        return None
    run.send_signal(signal.SIGKILL)
    run.wait()
    return round(time.monotonic() - began, 1)


def test_a_second_run_at_once_says_so_and_ctrl_c_and_sigterm_end_the_first(whole, sweep):
    run, log = sweep.start(), sweep.log
    (held,) = sweep.hold(1)
    assert int(fits(sweep)["running"]) >= 1
    assert "A run goes on" in sweep.status()
    # Some clusters clear comments, by which jobs are known.
    subprocess.run(["scontrol", "update", f"jobid={held}", "comment="], check=True)
    assert held not in {job[0] for job in sweep.queue() if job[2].startswith("rule_")}
    assert int(fits(sweep)["running"]) >= 1
    refused = sweep.finish(status=1)
    assert "cannot be locked" in refused
    assert "scancel" not in refused
    sweep.log = log
    run.send_signal(signal.SIGINT)
    run.wait(PATIENCE_S)
    until("jobs cancelled", lambda: sweep.queue() == [], seconds=60)
    sweep.let_go()
    run = sweep.start()
    sweep.running_fit()
    run.send_signal(signal.SIGTERM)  # submits nothing more, and ends when submitted jobs have ended
    assert run.wait(PATIENCE_S) != 0
    assert sweep.queue() == []
    assert len(sweep.digests()) < len(whole.digests())
    sweep.finish()
    assert sweep.digests() == whole.digests()
    assert sweep.twice_at_once() == []
    # A job cancelled between its last file and its end is done, but was not recorded as completed.
    assert max(sweep.fits().values()) == 1
    assert fits(sweep)["done"] == str(FITS)


def fits(sweep):
    """The line of `make status` for the fits, by column."""
    lines = [line.split() for line in sweep.status().splitlines()]
    header, found = (next(line for line in lines if line[:1] == [name]) for name in ("rule", "fit_encoding"))
    return dict(zip(header, found, strict=True))
