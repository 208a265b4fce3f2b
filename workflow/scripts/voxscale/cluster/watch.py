"""What a run does about the run before it, which may have been killed while its jobs live on in the cluster.

Snakemake itself would submit every unfinished job again. So, at the start and before any submission: jobs of
this directory that have not started are cancelled, those that run are waited for, and then Snakemake starts
anew, since what they made need not be made again. Outputs appear by rename: a job cut off leaves none.

A killed Snakemake also leaves its lock. It is taken away where the process that held it is known to be gone.

Only the run itself writes down what Snakemake knows of a finished job (parameters, inputs). Of a job that
ended while no run looked on there would be an older record, or none. So jobs write their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from voxscale.cluster.queue import Queued, cancel, is_answering, read_known, read_queue, read_up_nodes
from voxscale.errors import UserError
from voxscale.io import atomic, read_json, require_writable, write_json

RESULTS = Path("results")
RECORDS = Path(".snakemake/voxscale-runs")
LOCKS = Path(".snakemake/locks")
SLURM_LOGS = Path("results/logs/slurm")  # as profiles/slurm has it
POLL_S = 5.0
SILENCE_S = 600.0  # of SLURM, until a run is not started blindly
WORD_S = 60.0  # between two words on what is waited for
COMPLETING_S = 300.0  # in which a job may end; SLURM then waits for its node, and no longer for the job
STUCK = "VOXSCALE_STUCK"  # in the environment, ids of jobs that are let go of: a new start knows them, too
LOOK_S = 60.0
LOOKS = 4  # in a row that miss a job, until it counts as lost
HOPELESS_LOOKS = 2  # in a row that find a job waiting for what will never be: a node may just be away

_earlier: Sequence[Queued] | None = []  # jobs in the cluster before the graph was built; None: not known


def say(text: str) -> None:
    """Tell the user, on stderr like Snakemake."""
    print(text, file=sys.stderr, flush=True)


def _started(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks; None if there is none (or no /proc to ask)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def leave_record(records: Path = RECORDS) -> None:
    """Note, before the directory is locked, who is about to."""
    pid, host = os.getpid(), socket.gethostname()
    write_json(records / f"{host}-{pid}.json", {"host": host, "pid": pid, "started": _started(pid)})


def is_running(records: Path = RECORDS, locks: Path = LOCKS) -> bool:
    """Whether a run holds this directory: one whose process lives, or one of another machine."""
    if not any(locks.glob("*.lock")):
        return False
    try:
        runs = [read_json(path) for path in records.glob("*.json")]
    except UserError:
        return True
    return not runs or any(_may_live(run) for run in runs)


def _may_live(run: dict[str, Any]) -> bool:
    """Whether the process of a record lives, as far as can be known from here."""
    return run.get("host") != socket.gethostname() or _started(int(run["pid"])) == run.get("started")


def free_dead_lock(records: Path = RECORDS, locks: Path = LOCKS) -> bool:
    """Remove a lock if all who may hold it were processes of this machine, and are gone.

    Returns:
        whether there was one. Snakemake itself tells of a living process's lock, and of another machine's.
    """
    try:
        runs = [read_json(path) for path in records.glob("*.json")]
    except UserError:
        return False
    if any(_may_live(run) for run in runs):
        return False
    shutil.rmtree(records, ignore_errors=True)
    if not runs or not locks.is_dir() or not any(locks.iterdir()):
        return False
    shutil.rmtree(locks, ignore_errors=True)
    say("The run before this one was killed; its lock is removed.")
    return True


def _ask(read: Callable[[], Sequence[Queued] | None], sleep: Callable[[float], None]) -> Sequence[Queued]:
    """The queue, asked for until SLURM answers.

    Raises:
        UserError: SLURM is silent for long: submitting blindly could make jobs twice.
    """
    waited = 0.0
    while (queue := read()) is None:
        if waited >= SILENCE_S:
            raise UserError(
                f"squeue: no answer for {SILENCE_S / 60:.0f} minutes; start again when SLURM answers"
            )
        if not waited:
            say("SLURM does not answer; waiting for it.")
        sleep(POLL_S)
        waited += POLL_S
    return queue


def settle(
    directory: str | Path = ".",
    read: Callable[[], Sequence[Queued] | None] | None = None,
    stop: Callable[..., None] = cancel,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait until no job of an earlier run of this directory is left in the cluster, saying so every minute.

    Jobs run until their time limit at most; one that SLURM cannot end for minutes is let go of.

    Args:
        read, stop, sleep: how to read the queue, cancel jobs and pass the time.

    Returns:
        how many jobs there were; any may have started, and made something, meanwhile.

    Raises:
        UserError: SLURM does not answer.
    """
    if read is None:

        def read() -> Sequence[Queued] | None:
            return read_queue(directory)

    seen: set[str] = set()
    waited, ending = 0.0, {}
    while queue := _without_stuck(_ask(read, sleep)):
        # A job that ends is in the queue until its node, which may be gone, has said so.
        ending = {job.jobid: ending.get(job.jobid, waited) for job in queue if job.state == "COMPLETING"}
        if stuck := [job for job in queue if waited - ending.get(job.jobid, waited) >= COMPLETING_S]:
            say(f"SLURM cannot end jobs of an earlier run ({_described(stuck)}); going on without them.")
            os.environ[STUCK] = " ".join([os.environ.get(STUCK, ""), *(job.jobid for job in stuck)])
            continue
        seen |= {job.jobid for job in queue}
        if waited % WORD_S == 0:
            _say_settling(queue)
        if pending := [job for job in queue if job.waiting]:
            stop(pending, pending_only=True)
        sleep(POLL_S)
        waited += POLL_S
    return len(seen)


def _without_stuck(queue: Sequence[Queued]) -> Sequence[Queued]:
    """Jobs that have not been let go of, by this process or the one that started it anew."""
    return [job for job in queue if job.jobid not in os.environ.get(STUCK, "").split()]


def _described(queue: Sequence[Queued]) -> str:
    """Each job with its state and node, the first few of many."""
    told = [f"{job.jobid} {job.state.lower()} {job.place}".strip() for job in queue]
    return ", ".join([*told[:5], *([f"and {len(told) - 5} more"] if len(told) > 5 else [])])


def _say_settling(queue: Sequence[Queued]) -> None:
    waiting = [job for job in queue if job.waiting]
    running = [job for job in queue if not job.waiting]
    text = f"{len(queue)} jobs of an earlier run are in the cluster: cancelling {len(waiting)} that wait"
    if running:
        text += f", waiting for {len(running)} that run ({_described(running)}). To cancel these too: "
        text += f"scancel {' '.join(job.jobid for job in running)}"
    say(text)


def before_graph() -> None:
    """To be called before the graph of jobs is built, by the run itself and not by its jobs.

    Raises:
        UserError: the directory is not to be written to.
    """
    global _earlier
    for folder in (RESULTS, RECORDS):
        require_writable(folder)
    free_dead_lock()
    leave_record()
    _earlier = read_queue(Path.cwd()) if shutil.which("squeue") else []
    _earlier = _earlier and _without_stuck(_earlier)


def record_in_jobs() -> None:
    """To be called in the Snakemake that runs a job on its node: let it record what it did, as the run does.

    ASSUME: in Snakemake 9.27, a job's own Snakemake calls `finished` when the outputs are whole, but leaves
    out the record unless `immediate_submit` says that nobody else will write it. Nobody else may be alive.
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


def before_jobs(workflow: Any) -> None:
    """To be called on start: jobs of an earlier run first, then a new start that knows what they have made.

    Raises:
        UserError: SLURM does not answer.
    """
    shutil.rmtree(RECORDS, ignore_errors=True)  # those of others: this one has the lock
    leave_record()
    if workflow.local_exec:
        return
    # A job may also have ended while the graph was built, which took it for missing.
    if settle(Path.cwd()) or _earlier != []:
        _start_anew(workflow, "The jobs of an earlier run have ended; starting anew with what they made.")
    executor = workflow.scheduler._executor
    fail_preempted(sys.modules[type(executor).__module__])
    submit_patiently(executor)

    def active() -> set[str]:
        with executor.lock:
            return {str(job.external_jobid) for job in executor.active_jobs}

    def found(lost: set[str]) -> None:
        ids = " ".join(sorted(lost))
        _start_anew(workflow, f"SLURM has forgotten jobs that Snakemake waits for ({ids}); starting anew.")

    end_hopeless = Hopeless()

    def tidy() -> None:
        forgive_nodes(executor, read_up_nodes())
        end_hopeless(read_queue(Path.cwd()) or [])

    threading.Thread(target=look_out, args=(active, read_known, found, tidy), daemon=True).start()


def fail_preempted(plugin: Any) -> None:
    """Let the executor for SLURM take a preempted job for a failed one, and try it again.

    By itself it waits until SLURM starts the job anew, which `slurm-no-requeue` forbids: for ever. And when
    SLURM has been silent for long it forgets all its jobs, and waits for ever, too: so silence is told to it
    as an answer that names no job, after which it goes on with each as it was.

    Args:
        plugin: the executor's module.
    """
    ask = getattr(plugin, "query_job_status", None)
    if ask is None:  # not the executor for SLURM, or not this version's
        return

    async def told(*arguments: Any) -> Any:
        states, seconds = await ask(*arguments)
        if states is None:
            return {}, 0.0
        ended = {"PREEMPTED": "CANCELLED"}
        return {jobid: ended.get(state, state) for jobid, state in states.items()}, seconds

    plugin.query_job_status = told


class Hopeless:
    """Ends jobs that wait for what will never be, so that their run is told; by itself it waits for ever."""

    def __init__(self, stop: Callable[..., None] = cancel) -> None:
        self.stop, self.found = stop, {}

    def __call__(self, queue: Sequence[Queued]) -> None:
        """Look at the queue once more.

        Args:
            queue: living jobs of this directory.
        """
        hopeless = [job for job in queue if job.hopeless]
        self.found = {job.jobid: self.found.get(job.jobid, 0) + 1 for job in hopeless}
        if ended := [job for job in hopeless if self.found[job.jobid] >= HOPELESS_LOOKS]:
            for job in ended:
                text = f"ERROR {job.comment}: SLURM can never start job {job.jobid} ({job.place}); "
                text += "ask for less, or elsewhere: profiles/slurm/config.yaml"
                say(text)
                # Where SLURM would have kept the job's own words, so that `make status` finds these.
                rule, _, values = job.comment.partition("_wildcards_")
                path = SLURM_LOGS / rule / values / f"{job.jobid}.log"
                with contextlib.suppress(OSError), atomic(path) as log:
                    log.write_text(f"{text}\n")
            self.stop(ended, pending_only=True)


def submit_patiently(
    executor: Any,
    answers: Callable[[], bool] = is_answering,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Let the executor wait for a slurmctld that is away, where a submission would fail and cost a retry."""
    submit = executor.run_job

    def patiently(job: Any) -> None:
        with contextlib.suppress(UserError):  # silent for long: the submission tells of it
            _ask(lambda: [] if answers() else None, sleep)
        submit(job)

    executor.run_job = patiently


def forgive_nodes(executor: Any, up: set[str]) -> None:
    """Let a run use nodes again that failed and are back; by itself it never does."""
    if back := getattr(executor, "_failed_nodes", set()) & up:
        executor._failed_nodes -= back
        say(f"Back at work, and given jobs again: {', '.join(sorted(back))}.")


def look_out(
    active: Callable[[], set[str]],
    known: Callable[[], set[str] | None],
    found: Callable[[set[str]], None],
    tidy: Callable[[], None] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look, as long as the run lasts, for jobs that Snakemake waits for and SLURM no longer knows.

    SLURM forgets a job some minutes after its end (MinJobAge). Where Snakemake did not ask in time, since its
    machine slept or slurmctld was away, it would wait for ever.

    Args:
        active: ids of the jobs that Snakemake waits for.
        known: ids of the jobs that SLURM knows, None if it does not answer.
        found: told of the lost ones; ends the watch.
        tidy: what else to do at each look.
    """
    missed: dict[str, int] = {}
    while True:
        sleep(LOOK_S)
        tidy()
        waited_for, there = active(), known()
        if there is None:
            continue
        missed = {jobid: missed.get(jobid, 0) + 1 for jobid in waited_for - there}
        if lost := {jobid for jobid, times in missed.items() if times >= LOOKS}:
            return found(lost)


def _start_anew(workflow: Any, why: str) -> None:
    """Replace this process by the same command, the lock set free."""
    command = [sys.executable, *_command()]
    say(why)
    workflow.persistence.unlock()
    sys.stdout.flush()
    os.execv(sys.executable, command)


def _command() -> list[str]:
    """Arguments that start this very Snakemake again.

    Raises:
        UserError: it was not started from a command line.
    """
    program = Path(sys.argv[0]).name
    if program in ("snakemake", "__main__.py"):
        return ["-m", "snakemake", *sys.argv[1:]]
    raise UserError("jobs of an earlier run have just ended; start the workflow again to use what they made")
