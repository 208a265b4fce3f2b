"""`--sdm apptainer` with an image: jobs run in it, and see what they read outside the working directory."""

import os
import sys
from pathlib import Path

from workflow.runs import HOME, smallest_config, snakemake

# Runs the command on this machine, and keeps how it was called.
APPTAINER = """#!/bin/sh
[ "$1" != --version ] || { echo apptainer version 1.3.0; exit; }
echo "$APPTAINER_BIND $HF_HOME $*" >>"$CALLS"
while [ "$1" != -c ]; do shift; done
bash -c "$2"
"""


def test_jobs_run_in_the_image(tmp_path):
    program, calls, data = tmp_path / "bin/apptainer", tmp_path / "calls", tmp_path / "data"
    for folder in (program.parent, data, tmp_path / "study"):
        folder.mkdir()
    program.write_text(APPTAINER)
    program.chmod(0o755)
    (tmp_path / "voxscale.sif").touch()
    config = smallest_config(data) | {"container": "../voxscale.sif"}
    path = os.pathsep.join(map(str, [program.parent, Path(sys.executable).parent, os.environ["PATH"]]))
    env = {"PATH": path, "CALLS": str(calls), "HF_HOME": str(tmp_path / "hub")}
    target = "results/models/word_rate.json"
    run = snakemake(tmp_path / "study", target, "--sdm", "apptainer", config=config, env=env)
    assert run.status == 0, run.text[-3000:]
    (call,) = calls.read_text().splitlines()
    shown, hub, *_ = call.split()
    assert {str(HOME), str(data)} <= set(shown.split(","))
    assert hub == env["HF_HOME"]
    assert f"{tmp_path}/voxscale.sif" in call
