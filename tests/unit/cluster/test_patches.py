"""What Snakemake and its executor for SLURM do otherwise."""

import asyncio
import contextlib
import inspect
import logging
import types
from pathlib import Path

import pytest

from voxscale.cluster import patches, takeover


def test_a_preempted_job_counts_as_failed_and_is_tried_again():
    plugin = types.ModuleType("plugin")

    async def query_job_status(command, logger):
        return {"1": "PREEMPTED", "2": "RUNNING"} if command else None, 0.1

    plugin.query_job_status = query_job_status
    patches.correct_states(plugin)
    assert asyncio.run(plugin.query_job_status("squeue", None)) == ({"1": "CANCELLED", "2": "RUNNING"}, 0.1)
    patches.correct_states(types.ModuleType("another executor"))


def test_a_folder_that_only_looks_empty_is_left(monkeypatch):
    import snakemake.api  # noqa: F401  # before any of its parts
    from snakemake.dag import DAG

    def cleanup_workdir(self):
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(DAG, "cleanup_workdir", cleanup_workdir)
    patches.keep_late_folders()
    DAG.cleanup_workdir(None)


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
    patches.correct_states(plugin)
    asyncio.run(check())
    assert left == active


def test_the_executor_is_still_one_whose_preempted_jobs_and_failed_nodes_we_know():
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    code = Path(plugin.__file__).read_text()
    assert inspect.iscoroutinefunction(plugin.query_job_status)
    assert "await query_job_status(" in code
    assert "self._failed_nodes.add(node)" in code


def test_a_node_that_is_up_again_gets_jobs_again(monkeypatch, capsys):
    monkeypatch.setattr(patches, "read_up_nodes", lambda: {"cpu2", "cpu3"})
    executor = types.SimpleNamespace(_failed_nodes={"cpu1", "cpu2"})
    patches.reuse_nodes(executor)
    assert executor._failed_nodes == {"cpu1"}
    assert "get jobs as before: cpu2." in capsys.readouterr().err
    patches.reuse_nodes(types.SimpleNamespace())


def test_a_run_that_ends_while_it_asks_for_states_cancels_all_its_jobs():
    cancelled = []

    async def check(active):
        for job in active:
            if job != "done":
                executor.cancel_jobs([])  # as Snakemake does in the middle of a check
                yield job

    executor = types.SimpleNamespace(check_active_jobs=check, cancel_jobs=cancelled.append)
    patches.cancel_all(executor)

    async def look():
        return [job async for job in executor.check_active_jobs(["done", "a", "b"])]

    assert asyncio.run(look()) == ["a", "b"]
    assert cancelled == [["done", "a", "b"]] * 2
    executor.cancel_jobs(["b", "c"])
    assert sorted(cancelled[-1]) == ["a", "b", "c"]


def test_nothing_is_submitted_to_a_slurmctld_that_is_down(cluster, monkeypatch):
    submitted, answers = [], iter([True, False, False, True])
    monkeypatch.setattr(patches, "is_answering", lambda: next(answers, False))
    executor = types.SimpleNamespace(run_job=lambda job: submitted.append((job, cluster.slept)))
    patches.submit_patiently(executor)
    executor.run_job("a")
    executor.run_job("b")
    assert submitted == [("a", 0), ("b", 2 * takeover.POLL_S)]
    executor.run_job("c")  # after minutes of silence it fails as it would
    assert submitted[-1] == ("c", 2 * takeover.POLL_S + takeover.SILENCE_S)


def test_signatures_and_addresses_are_derived_once_and_stay_the_same(monkeypatch):
    from snakemake import common, rules, sourcecache

    monkeypatch.setattr(patches.gc, "set_threshold", lambda count: None)
    monkeypatch.setattr(patches.atexit, "register", lambda function: None)
    assert rules.get_function_params is common.get_function_params  # which Snakemake calls in both modules
    known = {}
    for owner, name in (
        (common, "get_function_params"),
        (rules, "get_function_params"),
        (sourcecache, "parse_uri"),
    ):
        known[owner] = getattr(owner, name)
        monkeypatch.setattr(owner, name, known[owner])
    patches.hasten_graph()
    for owner, name, value in (
        (rules, "get_function_params", patches.cancel_all),
        (sourcecache, "parse_uri", "a.py"),
    ):
        derive = getattr(owner, name)
        assert derive(value) == known[owner](value)
        assert derive(value) is derive(value)
