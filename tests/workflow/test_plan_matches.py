"""The jobs that are priced are the jobs that Snakemake plans."""

import re

import pytest
import yaml
from workflow.runs import demo_config, snakemake, tiny_config
from workflow.test_banded import banded_config

from voxscale.plan import load_jobs

TARGETS = {"all", "scores", "features", "figures", "fetch"}


def planned(run):
    for rule, text in run.jobs:
        if rule not in TARGETS:
            yield rule, tuple(sorted(re.findall(r"(\w+)=([^,]+)", text)))


def fixed_width_config():
    """The tiny study with the arm of fixed width."""
    config = tiny_config()
    config["sweeps"]["size"]["models"] = ["tiny-opt-1", "tiny-opt-2", "tiny-opt-3"]
    return config | {"laws": {"language": {"sweep": "size", "x": "parameters"}}, "plateau": {"width": 8}}


@pytest.mark.parametrize(
    "config",
    [tiny_config, fixed_width_config, demo_config, banded_config],
    ids=["tiny", "fixed width", "demo", "banded"],
)
def test_every_job_is_priced_once_and_no_other(tmp_path, monkeypatch, config):
    run = snakemake(tmp_path, "--dry-run", config=config())
    assert run.status == 0, run.text[-2000:]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(config()))
    monkeypatch.chdir(tmp_path)
    jobs = list(load_jobs(path, tmp_path).all())
    priced = {(job.rule, tuple(sorted(job.wildcards.items()))) for job in jobs}
    assert priced == set(planned(run))
    assert len(jobs) == len(priced)
    # The output by which a job is known to be done is one that Snakemake expects of it.
    outputs = set(re.findall(r"results/[^\s,]+", " ".join(re.findall(r"^    output: (.*)$", run.text, re.M))))
    assert {str(job.output) for job in jobs} <= outputs
    logs = set(re.findall(r"^    log: (\S+)", run.text, re.M))
    assert {str(job.log) for job in jobs} == logs
