"""The published study made smaller: what the guide says of it is what is planned."""

from collections import Counter

import pytest
from workflow.runs import HOME, snakemake
from workflow.test_paper import CLUSTER, PAPER, empty_copy

from voxscale.jobs import load_jobs, plan_rows
from voxscale.study import feature_settings, fit_settings

FIRST, SMALL = HOME / "config/first.yaml", HOME / "config/small.yaml"
GUIDE = " ".join((HOME / "docs/reproduce.md").read_text().split())
DOWNLOADS = ("fetch_dataset", "prepare_model")


@pytest.mark.parametrize(("configs", "fits"), [([FIRST], 18), ([PAPER, SMALL], 168)], ids=["first", "small"])
def test_it_is_planned_on_empty_files(tmp_path, monkeypatch, configs, fits):
    monkeypatch.chdir(tmp_path)
    jobs = load_jobs(configs, tmp_path)
    empty_copy(tmp_path, jobs.study.dataset)
    run = snakemake(tmp_path, "--dry-run", "--quiet", "rules", "--configfile", *configs)
    assert run.status == 0, run.text[-3000:]
    table = (line.split() for line in run.text.splitlines())
    planned = {words[0]: int(words[1]) for words in table if len(words) == 2 and words[1].isdigit()}
    expected = Counter(job.rule for job in jobs.all() if job.rule != "fetch_dataset")
    assert {rule: n for rule, n in planned.items() if rule not in ("all", "total")} == expected
    assert len(jobs.study.grid.cells()) == fits
    assert f"{fits} fits" in GUIDE


def sums(configs, folder):
    """What the guide says of a plan: core-hours, GPU-hours, GB of data, GB of models."""
    rows = plan_rows(load_jobs(configs, folder, CLUSTER))
    named = {row.rule: row for row in rows}
    return (
        float(f"{sum(row.core_hours for row in rows if row.rule not in DOWNLOADS):.2g}"),
        sum(row.gpu_hours for row in rows),
        named["fetch_dataset"].disk_mb / 1e3,
        named["prepare_model"].disk_mb / 1e3,
    )


def test_the_guide_says_what_the_first_study_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The guide installs pycortex, with which surfaces are downloaded, too.
    monkeypatch.setattr("voxscale.dataset.kind_ds003020.pycortex_installed", lambda: True)
    cores, gpus, data, models = sums([FIRST], tmp_path)
    assert f"takes {cores:,.0f} core-hours and {gpus:.1f} GPU-hours" in GUIDE
    assert f"downloads {data:.0f} GB of the dataset and {models:.0f} GB of models" in GUIDE


def test_the_guide_says_what_one_layer_of_each_model_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = plan_rows(load_jobs([PAPER, SMALL], tmp_path, CLUSTER))
    fits = next(row for row in rows if row.rule == "fit_encoding")
    assert f"168 fits and {float(f'{fits.core_hours:.2g}'):,.0f} core-hours of fits" in GUIDE


def test_the_first_study_s_work_counts_for_the_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, whole = (load_jobs(config, tmp_path).study for config in (FIRST, PAPER))
    mine = {cell: n for cell, n in first.grid.draws.items() if cell.model != "opt-2.7b"}
    assert len(mine) == 17
    assert {cell: whole.grid.draws.get(cell) for cell in mine} == mine
    assert fit_settings(first) == fit_settings(whole)
    for model in {cell.model for cell in mine}:
        assert first.registry[model] == whole.registry[model]
        assert feature_settings(first, model) == feature_settings(whole, model)
    for subject in first.subjects:
        assert first.heard(subject) == whole.heard(subject)
    assert set(first.stories) == set(whole.stories)


def test_one_layer_is_the_paper_s_but_for_its_layers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small, whole = (load_jobs(configs, tmp_path).study for configs in ([PAPER, SMALL], [PAPER]))
    assert set(small.grid.cells()) < set(whole.grid.cells())
    fitted = set(small.grid.cells())
    assert all(cell in fitted for subject in small.subjects for cell in small.stacking_cells(subject))
    assert small.map_cells == whole.map_cells
