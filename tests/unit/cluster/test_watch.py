"""What a run does about the one before it."""

import asyncio
import contextlib
import inspect
import json
import logging
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from voxscale.cluster import watch
from voxscale.cluster.queue import Queued
from voxscale.errors import UserError
from voxscale.io.files import require_writable


class Cluster:
    """A queue that passes through given states, one at each question."""

    def __init__(self, *states):
        self.states, self.cancelled, self.slept = list(states), [], 0.0

    def read(self):
        return self.states.pop(0) if self.states else []

    def stop(self, jobs, pending_only):
        assert pending_only
        self.cancelled += [job.jobid for job in jobs]

    def sleep(self, seconds):
        self.slept += seconds

    def settle(self):
        return watch.settle(".", self.read, self.stop, self.sleep)


def job(jobid, state, place=""):
    return Queued(jobid, "voxscale_x", state, "rule_fit_encoding_wildcards_m_1_s_2", place)


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_writable(watch.RESULTS)
    assert not list(tmp_path.iterdir()), "to look leaves nothing"
    watch.RESULTS.touch()
    with pytest.raises(UserError, match=rf"^{tmp_path}/results: no file .*\(Not a directory\); it must"):
        watch.before_graph()
    watch.RESULTS.unlink()
    watch.RESULTS.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=rf"^{tmp_path}/results: no file .*\(No such file"):
        watch.before_graph()
    watch.RESULTS.unlink()
    Path(".snakemake").touch()
    with pytest.raises(UserError, match=rf"^{tmp_path}/\.snakemake: no file .*\(Not a directory\)"):
        watch.before_graph()


def test_waiting_jobs_are_cancelled_and_running_ones_waited_for(capsys):
    both = [job("1", "RUNNING"), job("2", "PENDING")]
    cluster = Cluster(both, [job("1", "RUNNING")], [job("1", "COMPLETING")], [])
    assert cluster.settle() == 2
    assert cluster.cancelled == ["2"]
    assert cluster.slept == 3 * watch.POLL_S
    assert "waiting for 1 that run (1 running). To cancel these too: scancel 1\n" in capsys.readouterr().err


def test_each_minute_it_says_what_is_waited_for_and_where(capsys):
    minutes = 3
    Cluster(*[[job("1", "RUNNING", "cpu1")]] * int(minutes * watch.WORD_S / watch.POLL_S)).settle()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == minutes
    assert all("(1 running cpu1)" in line for line in said)


def test_a_job_that_slurm_cannot_end_is_let_go_of_and_one_that_runs_is_not(monkeypatch, capsys):
    monkeypatch.setenv(watch.STUCK, "")
    looks = int(watch.COMPLETING_S / watch.POLL_S) + 1
    stuck = job("1", "COMPLETING", "cpu1")
    cluster = Cluster(*[[stuck, job("2", "RUNNING", "cpu2")]] * (2 * looks), *[[stuck]] * looks)
    assert cluster.settle() == 2
    # One question more than looks: it is asked once again when the job is let go of.
    assert cluster.slept == (2 * looks - 1) * watch.POLL_S
    assert "SLURM cannot end jobs of an earlier run (1 completing cpu1)" in capsys.readouterr().err
    # A new start does not wait for it again, nor start anew once more.
    again = Cluster(*[[stuck]] * looks)
    assert again.settle() == 0
    assert again.slept == 0


def test_an_empty_queue_costs_no_time():
    cluster = Cluster([])
    assert cluster.settle() == 0
    assert cluster.slept == 0


def test_a_silent_cluster_is_waited_for_and_never_taken_for_an_empty_one():
    cluster = Cluster(None, None, [job("1", "RUNNING")], None, [])
    assert cluster.settle() == 1
    for_ever = Cluster(*[None] * 10_000)
    with pytest.raises(UserError, match="squeue: no answer for 10 minutes"):
        for_ever.settle()


def lock(folder):
    locks, records = folder / "locks", folder / "runs"
    locks.mkdir(exist_ok=True)
    records.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("results/report.html")
    return records, locks


def another_run(records):
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; from voxscale.cluster import watch\n"
    )
    program += f"watch.leave_record(Path({str(records)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_lock_of_a_dead_process_is_removed_and_that_of_a_living_one_kept(tmp_path):
    records, locks = lock(tmp_path)
    watch.leave_record(records)
    assert not watch.free_dead_lock(records, locks)
    assert watch.is_running(records, locks)
    another_run(records)  # refused, since this one lives
    assert not watch.free_dead_lock(records, locks)
    assert locks.exists()
    next(records.glob(f"*-{os.getpid()}.json")).unlink()
    assert not watch.is_running(records, locks)
    assert watch.free_dead_lock(records, locks)
    assert not locks.exists()
    assert not watch.free_dead_lock(records, locks)


def test_a_lock_nobody_has_put_a_name_to_is_left_alone(tmp_path):
    records, locks = lock(tmp_path)
    assert not watch.free_dead_lock(records, locks)
    assert locks.exists()


def test_a_process_number_used_again_is_not_the_process(tmp_path):
    records, locks = lock(tmp_path)
    watch.leave_record(records)
    (record,) = records.iterdir()
    held = json.loads(record.read_text())
    assert held["pid"] == os.getpid()
    record.write_text(json.dumps(held | {"started": "1"}))
    assert watch.free_dead_lock(records, locks)


def test_the_lock_of_another_machine_is_left_alone(tmp_path):
    records, locks = lock(tmp_path)
    record = records / "elsewhere-1.json"
    record.write_text(json.dumps({"host": "elsewhere", "pid": 999_999_999, "started": "1"}))
    assert not watch.free_dead_lock(records, locks)
    assert watch.is_running(records, locks)
    record.write_text("{")
    assert not watch.free_dead_lock(records, locks)
    assert locks.exists()


def test_a_job_that_slurm_forgot_is_found_and_one_it_hides_for_a_while_is_not():
    looks = [{"1", "2"}, None, {"1"}, {"1"}, {"1", "2"}, *[{"1"}] * watch.LOOKS]
    asked, found = iter(looks), []
    watch.look_out(lambda: {"1", "2"}, lambda: next(asked), found.append, sleep=lambda _: None)
    assert found == [{"2"}]
    assert next(asked, "all asked") == "all asked"


def test_a_job_that_ended_meanwhile_is_not_lost():
    active = iter([{"1"}, {"1"}, set(), {"1"}, {"1"}, {"1"}, {"1"}])
    found = []
    watch.look_out(lambda: next(active), set, found.append, sleep=lambda _: None)
    assert found == [{"1"}]
    assert list(active) == []


def test_a_preempted_job_counts_as_failed_and_is_tried_again():
    plugin = types.ModuleType("plugin")

    async def query_job_status(command, logger):
        return {"1": "PREEMPTED", "2": "RUNNING"} if command else None, 0.1

    plugin.query_job_status = query_job_status
    watch.fail_preempted(plugin)
    assert asyncio.run(plugin.query_job_status("squeue", None)) == ({"1": "CANCELLED", "2": "RUNNING"}, 0.1)
    watch.fail_preempted(types.ModuleType("another executor"))


def test_the_executor_keeps_its_jobs_when_slurm_has_been_silent_for_all_its_questions(monkeypatch):
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    asked, left = [], []

    async def silent(command, logger):
        asked.append(command)
        return None, None

    monkeypatch.setattr(plugin, "query_job_status", silent)
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    executor = types.SimpleNamespace(
        workflow=types.SimpleNamespace(
            executor_settings=types.SimpleNamespace(status_attempts=3, init_seconds_before_status_checks=1)
        ),
        logger=logging.getLogger("silent"),
        run_uuid="voxscale_x",
        get_status_command=lambda: "squeue",
        status_rate_limiter=contextlib.AsyncExitStack(),
        next_seconds_between_status_checks=5,
        _preemption_warning=False,
        **{f"_status_query_{name}": 0 for name in ("calls", "failures", "total_seconds", "max_seconds")},
        _status_query_min_seconds=None,
        _status_query_cycle_rows=[],
    )
    active = [types.SimpleNamespace(external_jobid=str(i), aux={}) for i in range(2)]

    async def check():
        left[:] = [one async for one in plugin.Executor.check_active_jobs(executor, active)]

    asyncio.run(check())
    assert left == []  # they would never be asked for again
    watch.fail_preempted(plugin)
    asyncio.run(check())
    assert left == active


def test_a_job_that_can_never_start_is_ended_with_its_reason_and_one_that_waits_is_not(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    ended = []
    look = watch.Hopeless(lambda jobs, pending_only: ended.extend(job.jobid for job in jobs))
    reasons = ("PartitionTimeLimit", "QOSMaxCpuPerJobLimit", "Priority", "AssocGrpCpuLimit", "Resources")
    queue = [job(str(i), "PENDING", reason) for i, reason in enumerate(reasons)]
    look(queue)
    assert ended == []
    look(queue[1:])
    assert ended == ["1"]
    look(queue)  # a reason that had gone meanwhile
    assert "0" not in ended
    said = "SLURM can never start job 1 (QOSMaxCpuPerJobLimit); ask for less"
    assert said in capsys.readouterr().err
    assert said in (watch.SLURM_LOGS / "rule_fit_encoding/m_1_s_2/1.log").read_text()


def test_the_executor_is_still_one_whose_preempted_jobs_and_failed_nodes_we_know():
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    code = Path(plugin.__file__).read_text()
    assert inspect.iscoroutinefunction(plugin.query_job_status)
    assert "await query_job_status(" in code
    assert "self._failed_nodes.add(node)" in code


def test_a_node_that_is_back_is_given_jobs_again(capsys):
    executor = types.SimpleNamespace(_failed_nodes={"cpu1", "cpu2"})
    watch.forgive_nodes(executor, {"cpu2", "cpu3"})
    assert executor._failed_nodes == {"cpu1"}
    assert "given jobs again: cpu2." in capsys.readouterr().err
    watch.forgive_nodes(types.SimpleNamespace(), {"cpu2"})


def test_nothing_is_submitted_to_a_slurmctld_that_is_away():
    submitted, answers, slept = [], iter([True, False, False, True]), []
    executor = types.SimpleNamespace(run_job=lambda job: submitted.append((job, len(slept))))
    watch.submit_patiently(executor, lambda: next(answers), slept.append)
    executor.run_job("a")
    executor.run_job("b")
    assert submitted == [("a", 0), ("b", 2)]
    watch.submit_patiently(executor, lambda: False, slept.append)
    answers = iter([True])
    executor.run_job("c")  # after minutes of silence it fails as it would
    assert submitted[-1][0] == "c"
