"""The status of a sweep: from files and the queue to done, running, waiting, failed, missing."""

import hashlib
import json
import os
import re
import stat
import time
import types
from pathlib import Path

import pytest
import yaml
from fitted_cells import leave_batch, leave_cell
from workflow.runs import tiny_config

from voxscale.cluster.queue import SLURM_LOGS, QueuedJob, read_queue
from voxscale.jobs import describe_outlook, load_jobs, status
from voxscale.jobs.jobs import Job
from voxscale.jobs.notes import file_of, started_outputs
from voxscale.study import Cell

BATCH = {"model": "tiny-opt-1", "subject": "UTS01", "layers": "0-2", "n_trains": "1-4"}
CONTROL = {"model": "word_rate", "layers": "0"}


def batch(**other):
    return Job("fit_encoding", BATCH | other)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny_config()))
    return load_jobs(path, tmp_path)


def touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def at(seconds, path, text=""):
    """A file as it was written at some time, s."""
    touch(path, text)
    os.utime(path, (1e9 + seconds, 1e9 + seconds))


def mark(output):
    """Mark an output as being written, as Snakemake does."""
    touch(file_of(output, "incomplete"), "{}")


def states(seen):
    return {
        tuple(one.job.wildcards.values())[:2]: one.state for one in seen if one.job.rule == "fit_encoding"
    }


def test_each_state_is_reported_from_files_and_queue(jobs):
    leave_batch(jobs, batch())
    leave_cell(jobs.study, Cell("tiny-opt-1", 2, "UTS02", 4))  # finished before its job ended
    touch(
        batch(**CONTROL).log,
        "fitting layer 0 n_train 2: 1 of 2\nERROR fit_encoding: results/responses/UTS01.h5: cut off\n",
    )
    queue = [
        QueuedJob("7", "voxscale_x", "RUNNING", batch(subject="UTS02").comment),
        QueuedJob("8", "voxscale_x", "PENDING", batch(subject="UTS02", **CONTROL).comment),
    ]
    touch(batch(subject="UTS02").log, "a first attempt")
    seen = status.job_states(jobs, queue, [], running=True)
    found = states(seen)
    assert found["tiny-opt-1", "UTS01"] == "done"
    assert found["word_rate", "UTS01"] == "failed"
    assert found["tiny-opt-1", "UTS02"] == "running"
    assert found["word_rate", "UTS02"] == "waiting"
    text = status.describe_states(seen)
    assert "results/logs/fit_encoding/model=word_rate/subject=UTS01/layers=0_n_train=1-4.log" in text
    assert "    while fitting layer 0 n_train 2: 1 of 2; finished cells are kept" in text
    counted = {line.split()[1]: line.split()[2:] for line in text.splitlines() if "tiny-opt-1 n_" in line}
    assert counted["n_train=2"] == ["1", "1", "-", "-", "-", "-", "2"], "done, running, ..."
    assert counted["n_train=4"][0] == "2"
    assert "ERROR fit_encoding: results/responses/UTS01.h5: cut off" in text
    assert "tiny-opt-1 n_train=4" in text
    assert "word_rate" in status.describe_states(seen, cells=True)


def test_the_reason_of_a_failure_is_reported_not_its_echo(tmp_path):
    log = tmp_path / "7.log"
    log.write_text(
        "slurmstepd: error: Step 7.0 exceeded memory limit (322 > 200), being killed\n"
        "ERROR fit_encoding: not the reason\nsrun: error: task 0: Exited\nWorkflowError:\n"
    )
    assert "exceeded memory limit" in status.tail(log)
    log.write_text("ERROR fit_encoding: UTS01.h5: cut off\nsrun: error: task 0: Exited\nWorkflowError:\n")
    assert status.tail(log) == "ERROR fit_encoding: UTS01.h5: cut off"


def test_what_was_made_before_its_inputs_were_made_again_is_outdated(jobs):
    def note(job, inputs, **digests):
        about = {"params": [repr(jobs.digest(job))], "log": [str(job.log)], "record_format_version": 6}
        about |= {"input": list(map(str, inputs)), "input_checksums": digests}
        touch(file_of(job.output, "metadata"), json.dumps(about))

    table, room = Job("gather_scores", {"selection": "maps"}), Job("measure_room", {})
    features = Job("extract_control_features", {"model": "word_rate"})
    for job in jobs.all():
        for path in job.outputs:
            at(100, path, job.rule)
    path, now = str(table.output), hashlib.sha256(table.rule.encode()).hexdigest()

    def state(seconds, digest):
        at(seconds, table.output, table.rule)
        for job in (table, features):
            note(job, [])
        note(room, [path, features.output], **{path: f"sha256:{digest}"})
        seen = status.job_states(jobs, None, [], running=False)
        return next(one.state for one in seen if one.job == room)

    at(300, features.output)  # an ancient input
    assert state(50, "another") == "done"
    assert state(200, "another") == "outdated"
    assert state(200, now) == "done"  # with the same content


def test_how_long_a_run_may_still_take_and_what_waits_for_what(jobs):
    now = time.time()
    done, runs = next(jobs.all()), next(job for job in jobs.all() if job.rule == "fit_encoding")
    touch(done.output)
    touch(done.benchmark, json.dumps({"s": 60.0}))
    os.utime(done.benchmark, (now - 60, now - 60))
    reasons = [
        "Resources",
        "Resources",
        "PartitionTimeLimit",
        "AssocGrpCpuLimit",
        "ReqNodeNotAvail, May be down",
    ]
    queue = [
        QueuedJob(str(i), "x", "PENDING", "rule_x", reason) for i, reason in enumerate([*reasons, "Odd"])
    ]
    queue.append(QueuedJob("9", "x", "RUNNING", runs.comment, "cpu1", "alice", 60.0))
    seen = status.job_states(jobs, queue, [], running=True)

    def said(began, queue):
        return describe_outlook(jobs, seen, queue, began, lambda: ["cpu2 drained (disk)"]).splitlines()

    first, *waits, nodes = said(now - 200, queue)
    assert re.fullmatch(r"A run goes on \(jobs ended: 1, running: 1\), about [\d.]+ (min|h) left\.", first)
    assert waits[0] == "Jobs that wait for free cores, memory or GPUs: 2."
    assert "Jobs that wait for nodes that are down, drained or reserved: 1." in waits
    assert "Jobs that wait for a reason that SLURM calls Odd: 1." in waits
    assert nodes == "Nodes that take no jobs: cpu2 drained (disk)."
    assert said(now - 30, None) == [
        "A run goes on; how long it may take is known when its first job has ended."
    ]
    assert said(None, queue[-1:]) == []


def test_an_output_of_other_settings_is_not_done(jobs):
    for job in (batch(), batch(**CONTROL), batch(subject="UTS02")):
        leave_batch(jobs, job)
    for job, other in ((batch(), {}), (batch(**CONTROL), {"seed": 7})):
        digest = "another" if other else jobs.digest(job)
        note = {"params": [repr(digest), "'other'"], "log": [str(job.log)], "record_format_version": 6}
        touch(file_of(job.output, "metadata"), json.dumps(note))
    gathered = Job("gather_scores", {"selection": "all"})
    touch(gathered.output)
    note |= {"params": [repr(jobs.digest(gathered))], "input": [str(batch(**CONTROL).output)], "log": []}
    touch(file_of(gathered.output, "metadata"), json.dumps(note))
    seen = status.job_states(jobs, [], [], running=False)
    found = states(seen)
    assert found["tiny-opt-1", "UTS01"] == "done"
    assert found["word_rate", "UTS01"] == "outdated"
    assert found["tiny-opt-1", "UTS02"] == "done"  # nothing is known against it
    assert next(one.state for one in seen if one.job == gathered) == "outdated"
    assert "2 outputs are out of date: settings or inputs have changed" in status.describe_states(seen)


def test_a_run_on_this_machine_is_known_by_its_marks(jobs):
    mark(batch().output)
    mark(batch(**CONTROL).output)
    touch(batch().log, "")
    started = set(started_outputs())
    assert started == {str(batch().output), str(batch(**CONTROL).output)}
    assert states(status.job_states(jobs, None, started, running=True))["tiny-opt-1", "UTS01"] == "running"
    assert states(status.job_states(jobs, None, started, running=False))["tiny-opt-1", "UTS01"] == "failed"


def test_an_output_that_is_being_remade_is_not_done(jobs):
    leave_batch(jobs, batch())
    started = {str(batch().output)}
    assert states(status.job_states(jobs, None, started, running=True))["tiny-opt-1", "UTS01"] == "running"


def test_a_download_beside_a_cluster_is_running(jobs, monkeypatch):
    fetch = Job("fetch_dataset", {"part": "UTS01"})
    monkeypatch.setattr(type(jobs), "all", lambda self: iter([fetch, batch()]))
    queue = [QueuedJob("8", "voxscale_x", "PENDING", batch(subject="UTS02").comment)]
    for job in (fetch, batch()):
        touch(job.log, "at work")
    started = {str(fetch.output), str(batch().output)}
    seen = status.job_states(jobs, queue, started, running=True)
    assert [one.state for one in seen] == ["running", "failed"]
    assert status.job_states(jobs, queue, started, running=False)[0].state == "failed"


def test_what_slurm_says_of_a_killed_job_wins_over_an_older_log(jobs):
    own = touch(batch().log, "draw 0: 10%")
    os.utime(own, (1e9, 1e9))
    kept = touch(
        SLURM_LOGS / "rule_fit_encoding/tiny-opt-1_UTS01_0-2_1-4/12.log",
        "slurmstepd: error: Step 12.0 exceeded memory limit (900 > 640), being killed\nsrun: done\n",
    )
    assert status.failure_log(batch()) == kept
    assert "exceeded memory limit" in status.tail(kept)


def test_what_slurm_did_is_reported_before_a_script_s_last_progress(jobs):
    own = touch(batch().log, "draw 0: 10%")
    kept = touch(SLURM_LOGS / "rule_fit_encoding/tiny-opt-1_UTS01_0-2_1-4/12.log", "draw 0: 10%\n")
    os.utime(own, (1e9, 1e9))
    os.utime(kept, (1e9 + 5, 1e9 + 5))
    assert status.failure_log(batch()) == own
    kept.write_text("slurmstepd: error: *** STEP 12.0 ON cpu1 CANCELLED AT 1 DUE TO TIME LIMIT ***\n")
    os.utime(kept, (1e9 + 5, 1e9 + 5))
    assert status.failure_log(batch()) == kept
    os.utime(own, (1e9 + 9, 1e9 + 9))  # a later attempt, on this machine
    assert status.failure_log(batch()) == own


def state(jobs):
    return states(status.job_states(jobs, [], [], running=False))["tiny-opt-1", "UTS01"]


SLURM_SAID = SLURM_LOGS / "rule_fit_encoding/tiny-opt-1_UTS01_0-2_1-4/12.log"


@pytest.mark.parametrize("said", ["", "UserWarning: an error is not one\n"])
def test_a_deleted_output_of_a_success_is_missing(jobs, said):
    at(0, batch().log, said)
    at(1, batch().benchmark, "{}")
    at(3, SLURM_SAID, "1 of 1 steps (100%) done\n")  # the run that looked on was killed: nobody deletes it
    assert state(jobs) == "missing"


def test_a_killed_job_has_failed_whatever_came_before(jobs):
    at(0, batch().benchmark, "{}")
    at(60, batch().log)
    assert state(jobs) == "failed"
    assert "killed before it wrote" in status.tail(status.failure_log(batch()))


def test_a_failed_job_is_reported_with_its_log_until_it_succeeds(jobs):
    at(0, batch().benchmark, "{}")
    at(60, batch().log, "ERROR fit_encoding: UTS01.h5: cut off\n")
    at(61, SLURM_SAID, "Error in rule fit_encoding:\n")
    assert state(jobs) == "failed"
    assert status.tail(status.failure_log(batch())) == "ERROR fit_encoding: UTS01.h5: cut off"
    at(120, batch().log)  # the retry
    at(120, batch().benchmark, "{}")
    leave_batch(jobs, batch())
    assert state(jobs) == "done"
    batch().output.unlink()
    assert state(jobs) == "missing"


def test_a_job_that_slurm_ended_before_its_log_has_failed(jobs):
    at(0, batch().log, "all well")
    at(1, batch().benchmark, "{}")
    at(60, SLURM_SAID, "slurmstepd: error: *** STEP 12.0 ON cpu1 CANCELLED AT 1 DUE TO NODE FAILURE ***\n")
    assert state(jobs) == "failed"
    assert status.failure_log(batch()) == SLURM_SAID


def test_a_failed_run_tells_what_slurm_did_to_each_job(jobs, capsys):
    kept = SLURM_LOGS / "rule_fit_encoding/tiny-opt-1_UTS01_0-2_1-4/12.log"
    touch(kept, "slurmstepd: error: Step 12.0 exceeded memory limit (900 > 640), being killed\nsrun: done\n")
    touch(batch(**CONTROL).log, "mel:  45%|####     | 9/20 [00:03<00:04, 2.5story/s]\r")
    status.print_failures(jobs, 0)
    said = capsys.readouterr().err
    assert said.startswith("1 failed, 1 stopped before the end; running the workflow again")
    assert "story/s" not in said
    assert "exceeded memory limit (900 > 640)" in said


def test_failures_of_a_module_are_named_under_its_prefix(jobs, capsys):
    status.print_failures(jobs, 0, Path("vox"))  # before any of its jobs
    touch("vox" / batch().log, "MemoryError\n")
    status.print_failures(jobs, 0, Path("vox"))
    said = capsys.readouterr().err
    assert said.startswith("1 failed; running the workflow again")
    assert f": vox/{batch().log}\n" in said
    assert not Path("results").exists()
    status.print_failures(jobs, time.time() + 1, Path("vox"))  # a later run, in which it did not fail
    assert capsys.readouterr().err == ""


def test_an_empty_log_says_so(tmp_path):
    assert "killed before it wrote" in status.tail(touch(tmp_path / "a.log"))


def test_the_queue_is_that_of_this_directory_and_this_workflow(tmp_path, monkeypatch):
    here, other = tmp_path / "here", tmp_path / "other"
    here.mkdir()
    other.mkdir()
    lines = [
        f"1|voxscale_a|RUNNING|alice|1-02:03:04|{here}|cpu1|rule_fit_encoding_wildcards_m_1_s|2",
        f"2|voxscale_a|PENDING|alice|0:00|{other}|(Priority)|rule_x",
        f"3|another_a|PENDING|alice|0:00|{here}|(Priority)|rule_x",
        f"4|voxscale_a|COMPLETED|alice|0:00|{here}||rule_x",
        f"5|voxscale_a|PENDING|bob|0:00|{here}|(PartitionTimeLimit)|(null)",
        "a job of others\nin two lines",
    ]
    log = f"{'5':20}{here}/results/logs/slurm/rule_fit_law/size_4/%j.log"
    script = f"#!/bin/sh\ncase $* in *--Format*) echo '{log}'; exit;; esac\ncat <<'EOF'\n"
    squeue = touch(tmp_path / "bin/squeue", script + "\n".join(lines) + "\nEOF\n")
    squeue.chmod(squeue.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{squeue.parent}:/usr/bin:/bin")
    running, stuck = read_queue(here)
    comment = "rule_fit_encoding_wildcards_m_1_s|2"
    assert running == QueuedJob("1", "voxscale_a", "RUNNING", comment, "cpu1", "alice", 93784.0)
    assert stuck.comment == "rule_fit_law_wildcards_size_4"  # where the cluster clears comments
    assert not running.never_starts
    assert stuck.never_starts
    squeue.write_text("#!/bin/sh\nexit 1\n")
    assert read_queue(here) is None


def test_logs_of_slurm_stay_for_jobs_that_have_not_ended_well(jobs, monkeypatch):
    good, bad = (
        job for job in jobs.all() if job.rule == "fit_encoding" and job.wildcards["subject"] == "UTS01"
    )
    folders = [SLURM_LOGS / "rule_fit_encoding" / "_".join(job.wildcards.values()) for job in (good, bad)]
    for folder in folders:
        at(100, folder / "7.log")
        at(300, folder / "8.log")
    at(299, good.benchmark)
    at(200, bad.benchmark)
    (SLURM_LOGS / "rule_fit_law/size").mkdir(parents=True)
    alive = [types.SimpleNamespace(state="alive")]
    monkeypatch.setattr(status, "holders", lambda: alive * 2)
    status.clear_slurm_logs(jobs)
    assert len(list(SLURM_LOGS.rglob("*.log"))) == 4
    monkeypatch.setattr(status, "holders", lambda: alive)
    status.clear_slurm_logs(jobs)
    assert [*SLURM_LOGS.rglob("*.log")] == [folders[1] / "8.log"]
    assert [*SLURM_LOGS.iterdir()] == [folders[1].parent]
    at(400, bad.benchmark)
    status.clear_slurm_logs(jobs)
    assert not SLURM_LOGS.exists()
