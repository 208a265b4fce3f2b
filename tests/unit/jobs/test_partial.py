"""A report of the finished parts: what it leaves out, why, and how its files say so."""

import json

import matplotlib.pyplot as plt
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from workflow.runs import tiny_config

from voxscale import provenance
from voxscale.errors import UserError
from voxscale.figures.files import save_figure
from voxscale.io import is_marked, mark_page, read_whole, tables, write_page
from voxscale.jobs import FittedCells, figures_of, load_jobs, partial
from voxscale.jobs.status import Seen

MODELS = [f"nested-{2**i}" for i in range(4)]


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Four models with a law, a stack of two of them, a banded model, two subjects."""
    monkeypatch.chdir(tmp_path)
    sweeps = {"size": {"models": MODELS, "layers": [0]}, "few": {"models": ["word_rate"]}}
    stack = {"members": [{"model": "nested-1", "layer": 0}, {"model": "nested-2", "layer": 0}]}
    laws = {"size": {"sweep": "size", "x": "width", "voxels": ["all"]}}
    more = {"sweeps": sweeps, "laws": laws, "stacking": stack, "banded": {"two": {"bands": stack["members"]}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tiny_config() | more))
    return load_jobs("study.yaml")


def seen(jobs, **missing):
    """All jobs done, except those of a rule that have some wildcards."""
    found = []
    for job in jobs.all():
        lacking = job.rule in missing and missing[job.rule].items() <= job.wildcards.items()
        one = Seen(job, "missing" if lacking else "done")
        fits = job.rule == "fit_encoding"
        found.append(one._replace(**FittedCells(jobs.study).split(job, not lacking)) if fits else one)
    return found


def test_whole_models_and_subjects_are_left_out_with_the_reason(jobs):
    log = partial.Path("x.log")
    log.write_text("ERROR extract_control_features: results/stories/x: damaged; delete it\n")
    states = seen(jobs, fit_encoding={"model": "nested-8"}, extract_control_features={"model": "nested-8"})
    states = [
        one._replace(log=log, state="failed") if "extract" in one.job.rule and one.state != "done" else one
        for one in states
    ]
    found = partial.missing_parts(jobs, states)
    reason = "extract_control_features failed: results/stories/x: damaged; delete it (fits missing: 2)"
    assert found == {"models": {"nested-8": reason}, "subjects": {}, "banded": {}, "figures": {}}
    found = partial.missing_parts(jobs, seen(jobs, fit_encoding={"subject": "UTS02"}))
    assert list(found["subjects"]) == ["UTS02"]
    assert found["models"] == {}
    # One cell of one model: the model goes, with fewer finished fits than the subject.
    found = partial.missing_parts(jobs, seen(jobs, fit_encoding={"subject": "UTS02", "model": "nested-2"}))
    assert (list(found["models"]), found["subjects"]) == (["nested-2"], {})
    found = partial.missing_parts(jobs, seen(jobs, estimate_ceiling={"subject": "UTS01"}, stack_models={}))
    assert found["subjects"] == {"UTS01": "results/ceiling/UTS01.parquet has not been made yet"}
    assert found["stacking"].startswith("results/stacking/UTS02.parquet has not")
    found = partial.missing_parts(jobs, seen(jobs, scan_lags={"subject": "UTS01"}))
    assert found["figures"] == {"lag_scan": "results/lags/UTS01.parquet has not been made yet"}
    assert found["subjects"] == {}
    with pytest.raises(UserError, match="every fit is there"):
        partial.write_left_out(jobs, seen(jobs))


def test_what_needs_a_missing_model_goes_with_it_and_no_finished_fit_changes(jobs):
    partial.write_left_out(jobs, seen(jobs, fit_encoding={"model": "nested-1"}))
    rest = load_jobs(["study.yaml", partial.LEFT_OUT])
    sentences = " ".join(rest.study.missing)
    for what in (
        "model nested-1 is missing: results/",
        "the stack is missing: model nested-1",
        "banded model two",
    ):
        assert what in sentences
    assert "law" not in sentences
    assert rest.study.config["stacking"]["members"] == []
    whole = {str(job.log): jobs.digest(job) for job in jobs.all() if job.rule == "fit_encoding"}
    kept = {str(job.log): rest.digest(job) for job in rest.all() if job.rule == "fit_encoding"}
    assert len(kept) == len(whole) - 2
    assert kept.items() <= whole.items()
    partial.write_left_out(
        jobs, seen(jobs, fit_encoding={"model": "nested-1"}, prepare_model={"model": "nested-2"})
    )
    rest = load_jobs(["study.yaml", partial.LEFT_OUT])
    assert "law size is missing: fewer than 3 of its models are here" in rest.study.missing
    assert set(rest.results()) >= {"results/report.html"}
    assert not [path for path in rest.results() if "/moments/" in path]
    partial.write_left_out(jobs, seen(jobs, scan_lags={}))
    rest = load_jobs(["study.yaml", partial.LEFT_OUT])
    assert {"lag_scan"} == figures_of(jobs.study).keys() - figures_of(rest.study).keys()
    assert any(line.startswith("figure lag_scan is missing: results/lags/") for line in rest.study.missing)
    partial.write_left_out(jobs, seen(jobs, estimate_ceiling={}))
    with pytest.raises(UserError, match="no subject remains; there is nothing to report yet"):
        load_jobs(["study.yaml", partial.LEFT_OUT])


def test_every_file_says_what_is_missing(tmp_path, monkeypatch):
    lacks = ["model m is missing: results/x: damaged; delete it", "Voxel sets are those that are here."]
    monkeypatch.setattr(provenance, "_job", {})
    provenance.note_job("abc", missing=lacks)
    table = tmp_path / "results/partial/laws/fits.parquet"
    rows = {name: [] for name in tables.SCHEMAS["room"].names}
    tables.write("room", rows, table)
    assert json.loads(pq.read_schema(table).metadata[b"origin"])["missing"] == lacks
    figure, axes = plt.subplots(layout="constrained")
    axes.plot([1, 2])
    files = [tmp_path / f"results/partial/figures/a.{kind}" for kind in ("png", "pdf", "csv")]
    save_figure(figure, pd.DataFrame({"x": [1]}), *files)
    assert figure.get_suptitle() == "PARTIAL, not the whole study: model m is missing"
    assert "model m is missing" in files[2].read_text()
    assert "model m is missing" in Image.open(files[0]).text["origin"]


def test_a_report_that_is_out_of_date_says_so_and_stays_whole(tmp_path):
    page = tmp_path / "results/report.html"
    mark_page(page, "Out of date.")  # none is there
    write_page(page, "<html><body>\n<h1>Laws</h1></body></html>")
    made, about = read_whole(page), page.stat()
    assert not is_marked(page)
    for _ in range(2):
        mark_page(page, "Out of date: a & b")
    assert page.read_text().count("Out of date: a &amp; b") == 1
    assert is_marked(page)
    assert (read_whole(page), page.stat().st_mtime_ns) == (made, about.st_mtime_ns)
