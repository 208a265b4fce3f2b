"""Changes to Snakemake and its executor for SLURM, where these lose a job, wait for ever or are slow."""

import atexit
import contextlib
import functools
import gc
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from voxscale.cluster.queue import is_answering, read_up_nodes
from voxscale.cluster.takeover import ask
from voxscale.errors import UserError
from voxscale.progress import notify


def hasten_graph() -> None:
    """Let Snakemake build the graph of a large study faster: a third less time for thousands of jobs.

    By itself it derives the signature of each function of a rule, and the address of a rule's script, again
    for every job. And Python often searches all objects for garbage, although the graph needs them all.

    ASSUME: Snakemake 9.27 looks these functions up in these modules.
    """
    from snakemake import common, rules, sourcecache

    common.get_function_params = rules.get_function_params = functools.cache(common.get_function_params)
    sourcecache.parse_uri = functools.cache(sourcecache.parse_uri)
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def compare_behind_ancient(
    outdated: Collection[str | Path] = (),
    made_from_others: Collection[str | Path] = (),
    incomplete: Collection[str | Path] = (),
) -> None:
    """Let Snakemake compare every finished job that no rerun reaches.

    By itself it skips all jobs behind one that will run, since these will run as well. But an `ancient` input
    does not hand a rerun on, so a job behind one kept its output although its own parameters or inputs had
    changed, or although its output was missing, until the next run.

    Args:
        outdated: files made with other parameters of which Snakemake has no record. It would keep them; they
            count as files whose recorded parameters differ.
        made_from_others: files made from other content than their inputs have now; they count as older.
        incomplete: files that count as missing, since what belongs to them is.

    ASSUME: in Snakemake 9.27, `DAG.update_needrun` skips what it reaches through `DAG.depending`, and runs
    what makes one of `DAG.forcefiles`.
    """
    from snakemake.dag import DAG
    from snakemake.settings.enums import RerunTrigger

    update = DAG.update_needrun

    async def compared(self: Any, *arguments: Any, **options: Any) -> None:
        self.forcefiles.update(map(str, incomplete))
        if RerunTrigger.PARAMS in self.workflow.rerun_triggers:
            self.forcefiles.update(map(str, outdated))
        if RerunTrigger.MTIME in self.workflow.rerun_triggers:
            self.forcefiles.update(map(str, made_from_others))
        whole = self.depending
        self.depending = defaultdict(dict)
        for job, readers in whole.items():
            self.depending[job] = {
                reader: files for reader, files in readers.items() if not all(f.is_ancient for f in files)
            }
        try:
            await update(self, *arguments, **options)
        finally:
            self.depending = whole

    DAG.update_needrun = compared


def pass_over_damaged_records() -> None:
    """Let Snakemake take a damaged record of a file as none, also where its bytes are no text or no record.

    ASSUME: Snakemake 9.27 does so for broken JSON only, and ends in a traceback for the rest.
    """
    from snakemake.persistence.file import FilePersistence

    read = FilePersistence._read_record

    def read_record(self: Any, key: str) -> Any:
        try:
            return read(self, key)
        except ValueError:
            return None

    FilePersistence._read_record = read_record


def pass_over_times(paths: Collection[str], readers: Collection[str]) -> None:
    """Let Snakemake ignore the times of some inputs, since their content is compared: see `made_from_others`.

    Args:
        paths: the inputs, which may be outputs of other rules, whose times count there.
        readers: names of the rules that read them.

    ASSUME: Snakemake 9.27 asks `is_newer` of each input, and `rule` is that whose input or output a file is.
    """
    from snakemake.io import _IOFile

    passed, ends, is_newer = frozenset(paths), tuple(readers), _IOFile.is_newer

    async def newer(self: Any, time: float) -> bool:
        # A workflow that uses this one as a module may have put something before the names of its rules.
        ignored = self.file in passed and str(self.rule).endswith(ends)
        return not ignored and await is_newer(self, time)

    _IOFile.is_newer = newer


def record_in_jobs() -> None:
    """Let the Snakemake that runs a job on its node record the finished job, as the run itself does.

    Only the run records what Snakemake knows of a finished job (parameters, inputs). A job that ends while no
    run is alive would leave an older record, or none.

    ASSUME: in Snakemake 9.27, a job's own Snakemake calls `finished` when the outputs are complete, but
    writes the record only if `immediate_submit` says that no run will do it.
    """
    from snakemake.persistence import PersistenceBase

    finished = PersistenceBase.finished

    async def recorded(self: Any, job: Any) -> None:
        settings = self.dag.workflow.remote_execution_settings
        before, settings.immediate_submit = settings.immediate_submit, True
        try:
            await finished(self, job)
        finally:
            settings.immediate_submit = before

    PersistenceBase.finished = recorded


def keep_late_folders() -> None:
    """Let Snakemake leave a folder whose files this machine does not see yet, as on a shared file system.

    ASSUME: at its end Snakemake 9.27 removes folders that look empty, in `DAG.cleanup_workdir`, and ends in a
    traceback, without a word on the jobs that failed, where one is not.
    """
    from snakemake.dag import DAG

    cleanup = DAG.cleanup_workdir

    def cleanup_workdir(self: Any) -> None:
        with contextlib.suppress(OSError):
            cleanup(self)

    DAG.cleanup_workdir = cleanup_workdir


def correct_states(plugin: Any) -> None:
    """Let the executor retry a preempted job, and keep its jobs while SLURM does not answer.

    By itself the executor waits until SLURM restarts a preempted job, which `slurm-no-requeue` forbids. And
    after several unanswered questions it forgets its jobs, and waits for ever. An answer that names no job
    leaves each of them in its state.

    Args:
        plugin: the executor's module.
    """
    query = getattr(plugin, "query_job_status", None)
    if query is None:  # another executor, or another version
        return

    async def query_job_status(*arguments: Any) -> Any:
        states, seconds = await query(*arguments)
        if states is None:
            return {}, 0.0
        return {
            jobid: "CANCELLED" if state == "PREEMPTED" else state for jobid, state in states.items()
        }, seconds

    plugin.query_job_status = query_job_status


def submit_patiently(executor: Any) -> None:
    """Let the executor wait for a slurmctld that is down, since a failed submission would cost a retry."""
    submit = executor.run_job

    def run_job(job: Any) -> None:
        with contextlib.suppress(UserError):  # no answer for long: the submission itself reports it
            ask(lambda: is_answering() or None)
        submit(job)

    executor.run_job = run_job


def cancel_all(executor: Any) -> None:
    """Let the executor cancel all its jobs, also those whose states it is asking for when a run is ended.

    ASSUME: Snakemake's interface of executors takes jobs off its list of active ones while it asks for their
    states, which may take seconds. A run that was ended then left them in the queue.
    """
    check, cancel = executor.check_active_jobs, executor.cancel_jobs
    asked: list[Any] = []

    async def check_active_jobs(active: list[Any]) -> AsyncIterator[Any]:
        asked[:], kept = active, []
        async for job in check(active):
            kept.append(job)
            yield job
        asked[:] = kept

    def cancel_jobs(active: list[Any]) -> None:
        cancel([*active, *(job for job in asked if job not in active)])

    executor.check_active_jobs, executor.cancel_jobs = check_active_jobs, cancel_jobs


def reuse_nodes(executor: Any) -> None:
    """Let a run submit again to nodes that failed and are up again; by itself it never does."""
    failed = getattr(executor, "_failed_nodes", set())
    if failed and (back := failed & read_up_nodes()):
        executor._failed_nodes -= back
        notify(f"Nodes up again, which get jobs as before: {', '.join(sorted(back))}.")
