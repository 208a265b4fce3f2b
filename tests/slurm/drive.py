"""Run a small study on a real cluster, and compare what the cluster and the files report."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
HOME = HERE.parents[1]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
PATIENCE_S = 600  # for one run; a busy machine is slow

STUDY = {
    "dataset": {
        "kind": "phantom",
        "root": "results/phantom",
        "subjects": ["UTS01"],
        "test_stories": ["thelighthousekeeper"],
        "training_stories": ["beekeeping", "nightbaker", "thelasttrain", "wintercrossing"],
    },
    "phantom": {"voxels": 60, "repeats": 4, "words_per_story": 60},
    "features": {"text": {"max_context": 64, "restart_at": 32}, "speech": {"window_s": 2.0, "stride_s": 0.5}},
    "encoding": {"folds": {"n": 3}, "job_minutes": 0},  # one cell to a job
    "scoring": {"skip_s": 20, "permutations": 50},
    "bootstrap": {"draws": 50},
    "controls": {"features": [], "untrained": "none"},
    "sweeps": {
        "training": {"models": ["tiny-opt-1"], "layers": [2], "n_train": [2, 3, "all"], "draws": 2},
        "layer": {"models": ["tiny-opt-1"], "layers": [1]},
        "speech": {"models": ["tiny-whisper-1"], "layers": [2]},
    },
    "laws": {"training": {"sweep": "training", "x": "hours", "voxels": ["all"]}},
    "cluster": {"gpu": {"partition": "gpu"}},
    "stacking": {
        "members": [{"model": "tiny-opt-1", "layer": 2}, {"model": "tiny-whisper-1", "layer": 2}],
    },
}
CELL = "results/scores/model={}/subject=UTS01/layer=2_n_train={}.parquet"
FIT = "results/fits/model={}/subject=UTS01/layers=2_n_train={}.json"  # of a job with one cell
UNIT = "rule_fit_encoding_wildcards_{}_UTS01_2_{}"
FITS = 5


class Accounted(NamedTuple):
    """One job in the accounting: requested MB and minutes; times in seconds since the epoch."""

    jobid: str
    comment: str
    state: str
    partition: str
    tres: str
    memory: int
    minutes: int
    submit: float
    start: float
    end: float


def script(name, *arguments):
    """Run one of the cluster's scripts."""
    done = subprocess.run([HERE / name, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def answers():
    """Whether a cluster answers."""
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=60, check=False).returncode == 0


def until(what, condition, seconds=PATIENCE_S, step=0.2):
    """Wait until a condition is true; return its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(step)
    return value


class Sweep:
    """One working directory with the study in it."""

    def __init__(self, folder, study=STUDY):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "study.yaml").write_text(yaml.safe_dump(study))
        self.began = time.time()
        self.runs = []
        self.held = {}  # job id -> stopped processes of its script

    def copy_to(self, folder):
        """The same study with all outputs except the fits and the tables."""
        shutil.copytree(self.folder, folder, symlinks=True)
        for name in ("fits", "scores", "moments", "tables", "logs"):
            shutil.rmtree(Path(folder) / "results" / name, ignore_errors=True)
        return Sweep(folder)

    # ---- runs

    def start(self, *arguments, targets=("scores",), before=(), **environment):
        """Start the workflow as a user does, with more frequent queries than in the profile.

        Args:
            before: the start of the command line, which runs the rest.
        """
        self.log = self.folder / f"run-{len(self.runs)}.log"
        command = [
            *before,
            SNAKEMAKE,
            *targets,
            "--snakefile",
            HOME / "Snakefile",
            "--configfile",
            "study.yaml",
        ]
        command += ["--workflow-profile", HOME / "profiles/slurm", "--nocolor", "--latency-wait", "15"]
        command += ["--slurm-init-seconds-before-status-checks", "1"]
        command += ["--max-status-checks-per-second", "2", *arguments]
        with self.log.open("w") as log:
            run = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE / "quick"), **environment},
                start_new_session=True,
                # A background job of a script ignores Ctrl-C, and so would this process.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        self.runs.append(run)
        return run

    def finish(self, *arguments, targets=("scores",), status=0):
        """Start the workflow and wait for its end."""
        run = self.start(*arguments, targets=targets)
        assert run.wait(PATIENCE_S) == status, self.text[-4000:]
        return self.text

    @property
    def text(self):
        """The output of the latest run so far."""
        return self.log.read_text(errors="replace")

    def end(self):
        """End all runs and jobs."""
        for run in self.runs:
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)
                run.wait()
        if ids := [job[0] for job in self.queue()]:
            subprocess.run(["scancel", *ids], check=False, capture_output=True)
        self.let_go()

    # ---- jobs on their nodes

    def scripts(self, rule):
        """(process, job id) of each script of a rule that runs in this directory."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                if (folder / "cwd").resolve() != self.folder or f".{rule}.py".encode() not in command:
                    continue
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            for entry in environment:
                if entry.startswith(b"SLURM_JOB_ID="):
                    yield int(folder.name), entry.partition(b"=")[2].decode()

    def hold(self, jobs, rule="fit_encoding", unit=None):
        """Stop the scripts of a rule's jobs while they run, until this many are stopped.

        Args:
            unit: the only unit of work whose jobs are stopped; None for any.

        Returns:
            node of each job, by job id.
        """

        def caught():
            wanted = {job[0] for job in self.queue() if unit in (None, job[2])}
            for process, jobid in self.scripts(rule):
                if jobid in self.held or (jobid in wanted and len(self.held) < jobs):
                    os.kill(process, signal.SIGSTOP)
                    self.held.setdefault(jobid, set()).add(process)
            return len(self.held) == jobs

        until(f"{jobs} jobs of {rule} running", caught, step=0.05)
        return {job[0]: job[3] for job in self.queue() if job[0] in self.held}

    def let_go(self, *jobids):
        """Continue stopped jobs that are still alive; by default all."""
        for jobid in jobids or tuple(self.held):
            for process in self.held.pop(jobid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    # ---- what the cluster reports

    def queue(self):
        """(job id, state, comment, node) of this directory's active jobs."""
        command = ["squeue", "--noheader", "--format", "%i|%T|%k|%N|%Z"]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        rows = [line.split("|") for line in text.splitlines()]
        return [tuple(row[:4]) for row in rows if row[4] == str(self.folder)]

    def left(self, *jobids):
        """Wait until none of these jobs is active."""
        until("the end of jobs", lambda: {job[0] for job in self.queue()}.isdisjoint(jobids))

    def running_fit(self):
        """Wait for a running fit; return the first."""
        return until(
            "a fit running",
            lambda: next(
                (j for j in self.queue() if j[1] == "RUNNING" and "rule_fit_encoding" in j[2]), None
            ),
        )

    def jobs(self):
        """All jobs that were submitted from this directory."""
        command = ["sacct", "-X", "--noheader", "--parsable2", "--noconvert", "--starttime", "now-6hours"]
        command += ["--format", "JobID,Comment%200,State,Partition,AllocTRES%200,ReqMem,TimelimitRaw"]
        command[-1] += ",Submit,Start,End,WorkDir%300"
        environment = {**os.environ, "SLURM_TIME_FORMAT": "%s"}
        text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        found = []
        for line in text.splitlines():
            *row, memory, minutes, submit, start, end, where = line.split("|")
            if where == str(self.folder):
                # A job that has not started, or ended, has no such time.
                times = [float(time) if time.isdigit() else float("inf") for time in (submit, start, end)]
                row += [int(memory.removesuffix("M")), int(minutes), *times]
                found.append(Accounted(*row))
        return found

    def settled_jobs(self):
        """As `jobs`, when the accounting has the end of each."""

        def settled():
            jobs = self.jobs()
            return jobs if all(job.end < float("inf") for job in jobs) else None

        return until("every job's end in the accounting", settled, seconds=60)

    def of_unit(self, unit):
        """Jobs of one unit of work, in the order of submission."""
        return sorted((job for job in self.settled_jobs() if job.comment == unit), key=lambda job: job.submit)

    def states(self, unit):
        """Final state of each job of one unit of work."""
        return [job.state.split()[0] for job in self.of_unit(unit)]

    def slurm_log(self, jobid):
        """SLURM's log of a failed job."""
        return "".join(path.read_text() for path in self.folder.glob(f"results/logs/slurm/**/{jobid}.log"))

    def completed(self):
        """Number of times each unit of work was completed."""
        counts = defaultdict(int)
        for job in self.settled_jobs():
            counts[job.comment] += job.state == "COMPLETED"
        return counts

    def fits(self):
        """Number of times each fit was completed."""
        return {unit: n for unit, n in self.completed().items() if "rule_fit_encoding" in unit}

    def twice_at_once(self):
        """Units of work that were in the queue twice at the same time."""
        found = defaultdict(list)
        for job in sorted(self.settled_jobs(), key=lambda job: job.submit):
            found[job.comment].append(job)
        return [
            comment
            for comment, jobs in found.items()
            for one, next_ in pairwise(jobs)
            if next_.submit < one.end
        ]

    # ---- what the files contain

    def digests(self):
        """SHA-256 of every score and table."""
        paths = [
            *self.folder.glob("results/scores/**/*.parquet"),
            *self.folder.glob("results/tables/**/*.parquet"),
        ]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }

    def status(self):
        """The output of `make status`."""
        return self.voxscale("status")

    def voxscale(self, *arguments):
        """The output of a command of voxscale."""
        command = [sys.executable, "-m", "voxscale", *map(str, arguments), "--configfile", "study.yaml"]
        environment = {**os.environ, "PYTHONPATH": str(HOME / "workflow/scripts")}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
