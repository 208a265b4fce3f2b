"""The published study, planned on files of no bytes: every job is there, and priced."""

import re
from collections import Counter

import pytest
from workflow.runs import HOME, snakemake

from voxscale.cortex.pycortex import NO_PLACES, NOT_INSTALLED, pycortex_installed
from voxscale.jobs import Job, describe_plan, load_jobs, plan_rows

CLUSTER = HOME / "profiles/slurm"
PAPER, STRICT = HOME / "config/paper.yaml", HOME / "config/strict.yaml"
LAYERS = {  # with layer 0, the embeddings
    "language": 13 + 25 + 41 + 49 + 65 + 33 + 41 + 61 + 81,
    "speech": (13 + 25 + 49) + (13 + 13 + 25) + (5 + 7 + 13 + 25 + 33),
}


def empty_copy(folder, dataset):
    """The published files that the study needs, all empty, and the marks of a finished fetch."""
    for part in dataset.parts:
        for remote in dataset.needed(part):
            path = folder / dataset.root / remote.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        mark = folder / dataset.mark(part)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def test_the_published_study_is_planned_on_empty_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = load_jobs(PAPER, tmp_path)
    study = jobs.study
    empty_copy(tmp_path, study.dataset)
    run = snakemake(tmp_path, "--dry-run", "--quiet", "rules", "--configfile", PAPER)
    assert run.status == 0, run.text[-3000:]
    table = (line.split() for line in run.text.splitlines())
    planned = {words[0]: int(words[1]) for words in table if len(words) == 2 and words[1].isdigit()}
    expected = Counter(job.rule for job in jobs.all() if job.rule != "fetch_dataset")
    assert {rule: n for rule, n in planned.items() if rule not in ("all", "total")} == expected
    # Language models once more at a fixed width; controls, and two untrained twins in each of five families;
    # the sizes of OPT-125M below the largest, and three of two larger models.
    fits = 3 * (sum(LAYERS.values()) + LAYERS["language"] + 5 + 2 * 5 + 5 + 2 * 3)
    assert len(study.grid.cells()) == fits > expected["fit_encoding"]
    assert expected["read_story"] == 84
    assert study.config["encoding"]["preset"] == "paper"
    assert study.notes == ([] if pycortex_installed() else [NO_PLACES])
    maps = {(cell.model, cell.layer) for cell in study.map_cells}
    assert maps == {("opt-30b", 33), ("whisper-large", 24)}
    assert all(
        len(study.dataset.training(s)) == n for s, n in {"UTS01": 82, "UTS02": 83, "UTS03": 83}.items()
    )


def test_the_strict_preset_changes_no_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paper, strict = (load_jobs(configs, tmp_path) for configs in ([PAPER], [PAPER, STRICT]))
    assert strict.study.config["encoding"]["preset"] == "strict"
    assert list(strict.all()) == list(paper.all())


def figures_of(rows):
    """What docs/reproduce.md says of the plan: step of its table -> figures; and those in its text."""
    named = {row.rule: row for row in rows}
    gb = {rule: f"{row.disk_mb / 1e3:.0f} GB" for rule, row in named.items()}
    features = [row for rule, row in named.items() if rule.startswith("extract_")]
    last = [row for rule, row in named.items() if rule.startswith(("draw_", "gather", "profile"))]
    last += [named[rule] for rule in ("fit_law", "fit_joint", "measure_artifact", "write_report")]
    fits = named["fit_encoding"]

    def disk(chosen):
        return f"{sum(row.disk_mb for row in chosen) / 1e3:.0f} GB"

    def rounded(hours):
        return f"{float(f'{hours:.2g}'):,.0f} core-hours"

    stack = named["predict_encoding"].core_hours + named["stack_models"].core_hours
    steps = {
        "3 data": [f"{named['fetch_dataset'].core_hours:.1f} h", gb["fetch_dataset"]],
        "4 models": [f"{named['prepare_model'].core_hours:.1f} h", gb["prepare_model"]],
        "5 run: responses": [
            f"{named['prepare_responses'].core_hours:.1f} core-hours",
            gb["prepare_responses"],
        ],
        "features": [f"{sum(row.gpu_hours for row in features):.0f} GPU-hours", disk(features)],
        f"{fits.cells:,} fits": [rounded(fits.core_hours), gb["fit_encoding"]],
        "stacking": [rounded(stack), gb["predict_encoding"]],
        "tables, laws, figures, report": [
            f"{sum(row.core_hours for row in last):.1f} core-hours",
            disk(last),
        ],
    }
    text = [
        f"In all {sum(row.disk_mb for row in rows) / 1e6:.2f} TB, less "
        f"{named['predict_encoding'].disk_mb / 1e6:.2f} TB at the end",
        f"{max(row.longest_s for row in rows) / 3600:.0f} hours on one GPU",
        f"ask for {fits.memory_mb / 1e3:.0f} GB of memory",
        f"keep their predictions for {named['predict_encoding'].memory_mb / 1e3:.0f} GB",
        f"layer profile for {named['profile_layers'].memory_mb / 1e3:.0f} GB",
        f"models for {named['extract_language_features'].memory_mb / 1e3:.0f} GB",
        f"(another {rounded(fits.core_hours)})",
    ]
    return steps, text


def test_the_figures_of_the_guide_are_the_plan_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (HOME / "docs/reproduce.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in guide.splitlines() if "|" in line]
    table = {row[0]: row[1:] for row in rows if len(row) == 4}
    jobs = load_jobs(PAPER, tmp_path, CLUSTER)
    surveyed = plan_rows(jobs)
    steps, text = figures_of(surveyed)
    for step, (time, disk) in steps.items():
        assert table[step][1].startswith(time), step
        assert table[step][2].startswith(disk), step
    flat = " ".join(guide.split())
    for stated in text:
        assert stated in flat
    fits = next(row for row in surveyed if row.rule == "fit_encoding")
    assert fits.core_hours / 500 / 24 == pytest.approx(3, abs=0.25)  # three days
    assert jobs.need(Job("extract_language_features", {"model": "llama-65b"})).gpus == 2
    study = jobs.study
    arm = [cell for cell in study.grid.cells() if study.registry[cell.model].source]
    assert f"fits instead of {len(study.profile_cells) + len(arm):,}." in flat
    shown = {" ".join(line.split()) for line in describe_plan(surveyed, study).splitlines()}
    printed = re.search(r"Of its lines:\n\n```text\n(.*?)```", guide, flags=re.DOTALL).group(1).splitlines()
    assert len(printed) > 2
    for line in printed:
        assert " ".join(line.split()) in shown
    sounds = study.dataset.needed("sounds")
    size = f"{len(sounds)} files, {sum(file.size for file in sounds) / 1e9:.2f} GB"
    assert f"sounds: {size}; to fetch {size} (… GB free)" in flat
    (tmp_path / "single.yaml").write_text("features: {on_disk: float32}")
    single = plan_rows(load_jobs([PAPER, tmp_path / "single.yaml"], tmp_path, CLUSTER))
    disk = sum(row.disk_mb for row in single if row.rule.startswith("extract_"))
    assert f"would take {disk / 1e3:.0f} GB" in flat
    stated = f"({steps['features'][1]} for `config/paper.yaml`, which keeps float16; {disk / 1e3:.0f} GB in"
    assert f"{stated} float32)" in " ".join((HOME / "config/README.md").read_text().split())


def test_without_a_copy_it_begins_with_the_download(tmp_path):
    run = snakemake(tmp_path, "fetch", "--dry-run", "--configfile", PAPER)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["fetch_dataset"] == 8  # transcripts, sounds, three subjects and their surfaces
    models = snakemake(tmp_path, "models", "--dry-run", "--configfile", PAPER)
    assert models.rules == {"prepare_model": 20 + 2 * 5, "models": 1}


def test_with_pycortex_regions_and_places_are_made(tmp_path, monkeypatch):
    """A stand-in that is found and never imported: what is planned where pycortex is installed."""
    (tmp_path / "packages/cortex").mkdir(parents=True)
    (tmp_path / "packages/cortex/__init__.py").write_text("raise ImportError('a stand-in')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    targets = ("results/tables/maps/voxels.parquet", "--dry-run", "--configfile", PAPER)
    run = snakemake(tmp_path, *targets)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["place_voxels"] == 3
    waits = re.search(r"rule place_voxels:\s+input: (.*)", run.text).group(1)
    assert "pycortex-UTS0" in waits
    assert "results/responses/UTS0" in waits
    responses = re.search(r"rule prepare_responses:\s+input: (.*)", run.text).group(1)
    assert "results/voxels" not in responses  # regions decide nothing about fits
    monkeypatch.delenv("PYTHONPATH")
    run = snakemake(tmp_path, *targets)
    assert run.status == 0, run.text[-3000:]
    assert ("place_voxels" in run.rules) == pycortex_installed()


@pytest.mark.skipif(pycortex_installed(), reason="pycortex is there")
def test_flatmaps_without_pycortex_end_in_one_line_before_any_job(tmp_path):
    (tmp_path / "nowhere.yaml").write_text("dataset: {url: 'http://127.0.0.1:9'}")
    run = snakemake(tmp_path, "flatmaps", "--configfile", PAPER, tmp_path / "nowhere.yaml")
    assert run.status != 0
    assert [line for line in run.text.splitlines() if "ERROR" in line] == [f"ERROR {NOT_INSTALLED}"]
    assert "Traceback" not in run.text
    assert not run.jobs
