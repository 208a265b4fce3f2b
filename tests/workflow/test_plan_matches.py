"""The jobs that are priced are the jobs that Snakemake plans."""

import re

import pytest
import yaml
from workflow.runs import demo_config, fixed_width_config, snakemake, tiny_config
from workflow.test_banded import banded_config

from voxscale.jobs import load_jobs

TARGETS = {"all", "scores", "features", "figures", "fetch"}


def planned(run):
    for rule, text in run.jobs:
        if rule not in TARGETS:
            yield rule, tuple(sorted(re.findall(r"(\w+)=([^,]+)", text)))


def controls_config():
    """The tiny study with all its controls."""
    return {key: value for key, value in tiny_config().items() if key != "controls"}


@pytest.mark.parametrize(
    "config",
    [tiny_config, fixed_width_config, controls_config, demo_config, banded_config],
    ids=["tiny", "fixed width", "controls", "demo", "banded"],
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
    benchmarks = set(re.findall(r"^    benchmark: (\S+)", run.text, re.M))
    assert {str(job.benchmark) for job in jobs} == benchmarks
