"""Predicted and measured: the right benchmark for each job, and an honest table."""

import json
import re

import pytest
import yaml
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.jobs import load_jobs, usage
from voxscale.jobs.jobs import Job

BATCH = {"model": "tiny-opt-1", "subject": "UTS01", "layers": "0-2", "n_trains": "1-4"}


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tiny_config()))
    return load_jobs(tmp_path / "study.yaml", tmp_path)


def leave(job, *lines):
    path = job.benchmark
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")


def test_the_latest_run_of_each_job_is_compared(jobs):
    fit = Job("fit_encoding", BATCH)
    predicted = jobs.need(fit).memory_mb
    leave(fit, {"s": 90, "max_rss": 1}, {"s": 12.5, "max_rss": predicted / 2})
    leave(Job("read_story", {"story": "nightbaker"}), {"s": 0.8, "max_rss": 20})
    leave(Job("describe_subject", {"subject": "UTS01"}), {"s": 0.8, "max_rss": "NA"})
    found = {one.rule: one for one in usage.usages(jobs)}
    assert set(found) == {"fit_encoding", "read_story"}
    assert found["fit_encoding"].ratio == pytest.approx(2)
    assert found["fit_encoding"].measured_s == 12.5
    assert not found["read_story"].sampled  # too short for its peak to be seen
    ((rule, n, *_, inside, _, _),) = usage._summarise(list(found.values()))
    assert (rule, n, inside) == ("fit_encoding", "1", "1 of 1")


def test_the_page_has_a_row_for_each_rule(jobs, tmp_path):
    leave(Job("fit_encoding", BATCH), {"s": 12.5, "max_rss": 400})
    usage.write_comparison(tmp_path / "page.html", tiny_config())
    page = (tmp_path / "page.html").read_text()
    assert page.count("<tr>") == 2
    assert re.search(r"<td>fit_encoding\s*</td><td[^>]*>\s*1\s*</td>", page)


def test_a_damaged_benchmark_is_named(jobs):
    fit = Job("fit_encoding", BATCH)
    leave(fit, {})
    fit.benchmark.write_text("{")
    with pytest.raises(UserError, match=r"n_train=1-4\.jsonl: not readable as a benchmark"):
        usage.usages(jobs)
