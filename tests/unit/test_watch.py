"""What a run does about the one before it."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from voxscale import watch
from voxscale.errors import UserError
from voxscale.queue import Queued


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


def job(jobid, state):
    return Queued(jobid, "voxscale_x", state, "rule_fit_encoding")


def test_waiting_jobs_are_cancelled_and_running_ones_waited_for(capsys):
    both = [job("1", "RUNNING"), job("2", "PENDING")]
    cluster = Cluster(both, [job("1", "RUNNING")], [job("1", "COMPLETING")], [])
    assert cluster.settle() == 2
    assert cluster.cancelled == ["2"]
    assert cluster.slept == 3 * watch.POLL_S
    assert "scancel 1)" in capsys.readouterr().err


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
        f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; from voxscale import watch\n"
    )
    program += f"watch.leave_record(Path({str(records)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_lock_of_a_dead_process_is_removed_and_that_of_a_living_one_kept(tmp_path):
    records, locks = lock(tmp_path)
    watch.leave_record(records)
    assert not watch.free_dead_lock(records, locks)
    another_run(records)  # refused, since this one lives
    assert not watch.free_dead_lock(records, locks)
    assert locks.exists()
    next(records.glob(f"*-{os.getpid()}.json")).unlink()
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
    assert asyncio.run(plugin.query_job_status("", None)) == (None, 0.1)
    watch.fail_preempted(types.ModuleType("another executor"))


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
