"""A small study with the executor for any scheduler; its submit command is bash, which runs the job."""

import os
import subprocess

import pytest
import yaml
from slurm.drive import HOME, SNAKEMAKE
from workflow.runs import smallest_config

LONG = bool(os.environ.get("VOXSCALE_LONG"))
pytestmark = pytest.mark.slurm


def test_a_whole_study_runs_where_slurm_is_not_the_scheduler(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(smallest_config()))
    bad = {name: tmp_path / "bin" / name for name in ("squeue", "sacct", "scontrol", "sinfo", "scancel")}
    for name, path in bad.items():  # whoever asks SLURM is seen
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/asked\nexit 1\n")
        path.chmod(0o755)
    command = [SNAKEMAKE, "--snakefile", HOME / "Snakefile", "--configfile", "study.yaml", "--nocolor"]
    command += [
        "--workflow-profile",
        "none",
        "--executor",
        "cluster-generic",
        "--jobs",
        "1",
        "--retries",
        "1",
    ]
    command += ["--cluster-generic-submit-cmd", "bash", "--scheduler", "greedy", "--latency-wait", "5"]
    paths = f"{tmp_path}/bin:{os.environ['PATH']}"
    about = {"cwd": tmp_path, "env": os.environ | {"PATH": paths, "OMP_NUM_THREADS": "1"}}
    # The jobs run one after the other: the whole study takes minutes, and its tables half of them.
    targets = [] if LONG else ["--", "results/tables/room.parquet"]
    done = subprocess.run([str(part) for part in command + targets], **about, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert (tmp_path / "results/tables/room.parquet").exists()
    if LONG:
        assert f"Done. Open {tmp_path}/results/report.html" in done.stderr
    assert not (tmp_path / "results/logs/slurm").exists()
    # A damaged table is not read twice.
    scores = tmp_path / "results/tables/maps/scores.parquet"
    about_scores = scores.stat()
    scores.write_bytes(scores.read_bytes()[:100])
    os.utime(scores, ns=(about_scores.st_atime_ns, about_scores.st_mtime_ns))
    command += ["--forcerun", "measure_room", "--", "results/tables/room.parquet"]
    done = subprocess.run([str(part) for part in command], **about, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Not tried again, since the outcome would be the same. ERROR measure_room" in done.stderr
    # A run looks for jobs of an earlier one before it knows its executor; the plugin for SLURM, which is not
    # in use, asks for the cluster's settings.
    assert set((tmp_path / "asked").read_text().split()) <= {"squeue", "scontrol"}
