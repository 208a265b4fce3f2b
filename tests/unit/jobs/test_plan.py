"""The plan of a study: its sums, and what is done."""

import re

import pytest
import yaml
from fitted_cells import leave_batch, leave_cell
from workflow.runs import HOME, tiny_config

from voxscale.jobs import load_jobs, plan
from voxscale.jobs.batches import cells_in
from voxscale.jobs.jobs import Job
from voxscale.jobs.resources import Need

PUBLISHED = {
    "dataset": {
        "kind": "ds003020",
        "root": "ds003020",
        "subjects": ["UTS01", "UTS02", "UTS03"],
        "test_stories": ["wheretheressmoke"],
        "defects": "published",
    },
    "encoding": {"preset": "paper", "memory_gb": 64},
    "sweeps": {"sizes": {"models": ["opt-125m", "llama-7b"], "layers": "all"}},
}


def study(folder, config):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_done_costs_nothing_more(home):
    jobs = load_jobs(study(home, tiny_config()), home)
    before = {row.rule: row for row in plan.plan_rows(jobs)}
    assert (before["fit_encoding"].jobs, before["fit_encoding"].cells) == (4, 8)  # 2 models x 2 subjects
    assert before["fit_encoding"].done == 0
    whole, begun, *_ = (job for job in jobs.all() if job.rule == "fit_encoding")
    leave_batch(jobs, whole)
    leave_cell(jobs.study, cells_in(jobs.study, begun.wildcards)[0])
    leave_cell(jobs.study, cells_in(jobs.study, begun.wildcards)[1], settings="other")
    rows = plan.plan_rows(jobs)
    after = {row.rule: row for row in rows}["fit_encoding"]
    assert (after.jobs, after.done, after.cells, after.cells_done) == (4, 1, 8, 3)
    assert "Cells to fit: 8, in jobs: 4; cells done: 3." in plan.describe_plan(rows, jobs.study)
    assert 0 < after.core_hours < before["fit_encoding"].core_hours
    assert after.disk_mb == before["fit_encoding"].disk_mb


def test_a_row_sums_hours_and_keeps_the_largest():
    row = plan.Row("fit_encoding")
    row.add(Need(1000, 3600, threads=4, disk_mb=10), done=False)
    row.add(Need(3000, 1800, threads=2, gpus=2, disk_mb=5), done=False)
    row.add(Need(9000, 7200, threads=9, disk_mb=1), done=True)
    assert (row.core_hours, row.gpu_hours, row.longest_s, row.disk_mb) == (5.0, 1.0, 3600, 16)
    assert row.memory_mb == Need(3000, 0).requested_mb()
    assert row.short == 0
    row.add(Need(10, 9 * plan.JOB_OVERHEAD_S - 1), done=False)
    assert row.short == 1  # its overhead is just over a tenth
    row.add(Need(10, 5), done=False, outdated=True)
    assert (row.done, row.outdated) == (1, 1)


def test_the_published_dataset_is_priced_without_its_files(home):
    jobs = load_jobs(study(home, PUBLISHED), home, HOME / "profiles/slurm")
    # wheretheressmoke.hf5 of UTS01 has 81,126 voxels.
    assert jobs.sizes.voxels("UTS01") == 81_126
    rows = {row.rule: row for row in plan.plan_rows(jobs)}
    assert rows["fit_encoding"].cells == 3 * (13 + 33 + 5 + 2)  # with controls and untrained twins
    assert rows["extract_language_features"].gpu_hours > 0
    # All layers of all stories: (12 + 1) x 768 and (32 + 1) x 4096 float32 a TR.
    trs = sum(jobs.sizes.clock_trs)
    assert rows["extract_language_features"].disk_mb == pytest.approx(
        trs * 4 * 2 * (13 * 768 + 33 * 4096) / 1e6
    )
    text = plan.describe_plan(list(rows.values()), jobs.study)
    assert "Features are priced on GPUs (features.device: auto)." in text
    fits = rows["fit_encoding"]
    assert 0 < 20 * fits.on_cards < fits.on_cpus == pytest.approx(fits.core_hours, rel=0.05)
    said = re.search(r"All fits take ([\d,.]+) core-hours on .* or ([\d,.]+) GPU-hours on", text)
    assert [float(number.replace(",", "")) for number in said.groups()] == pytest.approx(
        [fits.on_cpus, fits.on_cards], rel=0.05
    )
    here = load_jobs(study(home, PUBLISHED), home, HOME / "profiles/default")
    rows = plan.plan_rows(here)
    assert not any(row.gpu_hours for row in rows)
    assert "on CPUs, since this machine has no GPU" in plan.describe_plan(rows, here.study)
    assert "Disk: data" in text
    assert "SLURM's own time" in text


def test_predictions_are_done_when_the_stack_is(home):
    wildcards = {"model": "m", "layer": "1", "subject": "UTS01", "n_train": "4"}
    assert not Job("predict_encoding", wildcards).is_done()
    (home / "results/stacking").mkdir(parents=True)
    (home / "results/stacking/UTS01.parquet").touch()
    assert Job("predict_encoding", wildcards).is_done()
