"""The demo, run whole in a folder of its own: what it must find, and what happens when it is run again."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.surface import load_surf_data
from workflow.runs import HOME, demo_config, snakemake

from voxscale.cli import main
from voxscale.jobs import load_jobs, plan_rows


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder in which the default study has just run to its end."""
    folder = tmp_path_factory.mktemp("demo")
    run = snakemake(folder)
    assert run.status == 0, run.text[-4000:]
    assert "Traceback" not in run.text
    assert f"Done. Open {folder}/results/report.html" in run.text
    return folder


@pytest.fixture(scope="module")
def full(demo):
    """Mean r of each model, subject and region, all training stories, at the layer chosen in training."""
    summary = pd.read_parquet(demo / "results/tables/all/summary.parquet")
    largest = summary.groupby("subject").n_train.transform("max")
    best = summary[(summary.n_train == largest) & (summary.voxel_set == "all")]
    best = best.loc[best.groupby(["model", "subject"]).mean_cv_r.idxmax(), ["model", "layer", "subject"]]
    return summary[summary.n_train == largest].merge(best).set_index(["modality", "subject", "voxel_set"])


def test_a_second_run_does_nothing(demo):
    again = snakemake(demo)
    assert again.status == 0
    assert "Nothing to be done" in again.text
    assert again.jobs == []


def test_all_of_it_is_planned_as_done(demo, monkeypatch):
    monkeypatch.chdir(demo)
    rows = plan_rows(load_jobs(None, demo))
    assert {row.rule: row.outdated for row in rows if row.outdated} == {}
    assert {row.rule for row in rows if row.done < row.jobs} == set()


def test_the_truth_is_recovered(demo):
    validation = json.loads((demo / "results/validation.json").read_text())
    failed = [check for check in validation["checks"] if not check["inside"]]
    failed += [statement for statement in validation["statements"] if not statement["holds"]]
    assert failed == []
    assert validation["holds"]
    assert any(check["check"].startswith("nested") for check in validation["checks"])


@pytest.mark.parametrize(
    ("region", "winner", "loser"), [("language", "language", "speech"), ("auditory", "speech", "language")]
)
def test_each_region_is_predicted_by_what_drives_it(full, region, winner, loser):
    for subject in full.index.unique("subject"):
        here = f"roi:{region}"
        best = full.loc[(winner, subject, here)].mean_r.max()
        assert best > full.loc[(loser, subject, here)].mean_r.max() + 0.05, subject


def test_silent_voxels_score_nothing(demo, full):
    silent = full.xs("roi:other", level="voxel_set")
    models = silent[silent.model.isin(["tiny-opt-4", "tiny-whisper-2", "nested-32"])]
    assert len(models) >= 6
    assert models.mean_r.abs().max() < 0.02


def test_the_score_grows_with_training(demo):
    points = pd.read_parquet(demo / "results/laws/training-points.parquet")
    points = points[(points.metric == "r") & (points.voxel_set == "all") & (points.subject != "pooled")]
    for subject, rows in points.groupby("subject"):
        scores = rows.groupby("n_train").y.mean()
        assert len(scores) == 4
        assert scores.is_monotonic_increasing, (subject, scores)


def test_a_new_model_runs_its_own_jobs_and_what_gathers_them(demo):
    config = demo_config()
    config["models"] = {"another": {"like": "tiny-opt-2", "build": {"seed": 77}}}
    config["sweeps"]["language_size"]["models"].append("another")
    run = snakemake(demo, "--dry-run", config=config)
    assert run.status == 0, run.text
    own = {rule for rule, wildcards in run.jobs if re.search(r"model=another\b", wildcards)}
    assert own == {"prepare_model", "extract_language_features", "fit_encoding"}
    others = [(rule, w) for rule, w in run.jobs if "model=another" not in w]
    assert not {rule for rule, _ in others} & {"prepare_model", "fit_encoding", "predict_encoding"}, others
    before = ("extract", "read", "write_phantom", "scan", "digest", "describe", "prepare")
    assert not any(rule.startswith(before) for rule, _ in others)
    # It is one of the models that choose the significant voxels, which all tables name.
    gathered = {w for rule, w in others if rule == "gather_scores"}
    assert gathered >= {"selection=all", "selection=language_size", "selection=maps"}
    assert "law=language" in {w for rule, w in others if rule == "fit_law"}


def test_a_new_subject_is_scanned_and_fitted_alone(demo):
    config = demo_config()
    config["dataset"]["subjects"].append("UTS03")
    run = snakemake(demo, "--dry-run", config=config)
    assert run.status == 0, run.text
    subjects = {(rule, w.split("subject=")[1].split(",")[0]) for rule, w in run.jobs if "subject=" in w}
    assert {subject for _, subject in subjects} == {"UTS03"}
    assert {"scan_phantom", "prepare_responses", "fit_encoding", "estimate_ceiling"} <= {
        r for r, _ in subjects
    }
    assert not any(
        rule.startswith(("extract", "read", "write_phantom", "prepare_model")) for rule in run.rules
    )


def test_a_changed_sound_is_heard_again(demo):
    """Models that hear are fitted again where a sound has changed; models that read are not."""
    sound = demo / "results/phantom/stimuli/nightbaker.wav"
    whole, about = sound.read_bytes(), sound.stat()
    try:
        sound.write_bytes(whole[:-2] + b"\x01\x01")
        run = snakemake(demo, "--dry-run", "results/tables/all/scores.parquet")
    finally:
        sound.write_bytes(whole)
        os.utime(sound, ns=(about.st_atime_ns, about.st_mtime_ns))
    fitted = {w.split("model=")[1].split(",")[0] for rule, w in run.jobs if rule == "fit_encoding"}
    assert {"tiny-hubert-1", "mel"} <= fitted
    assert not any(model.startswith(("tiny-opt", "tiny-llama", "nested")) for model in fitted)
    assert run.rules["digest_sounds"] == 2


def test_a_deleted_figure_is_redrawn_alone(demo):
    figure = demo / "results/figures/map_ceiling.png"
    before = figure.read_bytes()
    figure.unlink()
    run = snakemake(demo, "results/figures/map_ceiling.png", fresh=True)
    assert run.status == 0, run.text
    assert run.rules == {"draw_figure": 1}
    assert figure.read_bytes() == before, "a figure must be the same however often it is drawn"


def test_a_truncated_intermediate_is_named(demo):
    """A damaged table is never read as data."""
    victim = next((demo / "results/scores/model=mel").rglob("*.parquet"))
    whole = victim.read_bytes()
    try:
        victim.write_bytes(whole[: len(whole) // 2])
        run = snakemake(demo, "results/tables/controls/summary.parquet", "--forcerun", "gather_scores")
        assert run.status != 0
        assert any(f"{victim.name}: damaged" in line for line in run.text.splitlines())
        assert "Traceback" not in run.text
    finally:
        victim.write_bytes(whole)


def loaded(page):
    """What a browser would fetch for a page: sources, style sheets; not links a reader may follow."""
    found = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag != "a":
                found.extend(v for k, v in attributes if k in ("src", "href") and v.startswith("http"))

    Tags().feed(page)
    return found


def test_the_report_needs_no_network(demo):
    page = (demo / "results/report.html").read_text()
    assert len(page) < 30e6
    assert loaded(page) == []
    assert page.count("data:image/png;base64") >= 10


def test_the_readme_s_queries_answer_on_the_demo(demo, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (HOME / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(demo)
    for block in blocks:
        exec(block, {})
        answer = capsys.readouterr().out
        assert "UTS01" in answer or "mean_r" in answer, answer


def test_the_guide_s_images_are_those_of_the_demo(demo, tmp_path, monkeypatch):
    text = (HOME / "docs/export.md").read_text()
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"^voxscale (export .*)$", text, flags=re.MULTILINE):
        with pytest.raises(SystemExit) as ended:
            main([*line.split(), "--directory", str(demo)])
        assert ended.value.code == 0, line
        os.chdir(tmp_path)  # the command's own process would have ended
    names = {path.name for path in Path("export").iterdir()}
    assert set(re.findall(r"^sub-\S+$", text, flags=re.MULTILINE)) <= names
    exec(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0], {})
    assert Path("left.png").stat().st_size > 10_000
    table = pd.read_parquet(demo / "results/tables/maps/scores.parquet").query(
        "subject == 'UTS01' and model == 'tiny-opt-4'"
    )
    places = pd.read_csv(demo / "results/phantom/derivative/voxels/UTS01.tsv", sep="\t")
    r = table.merge(places, on="voxel").groupby(["hemisphere", "vertex"]).r.mean()
    for side in ("left", "right"):
        file = (
            f"export/sub-UTS01_space-fsaverage5_model-tiny-opt-4_layer-3_n-12_stat-r_hemi-{side[0].upper()}"
        )
        values = load_surf_data(f"{file}.func.gii")
        np.testing.assert_allclose(values[r[side].index], r[side], rtol=1e-6)
        assert np.isfinite(values).sum() == r[side].notna().sum()


def test_nothing_is_left_behind(demo):
    assert {path.name for path in demo.iterdir()} <= {"results", ".snakemake", "study.yaml"}
    assert not list(demo.rglob("*.part*"))
    shutil.rmtree(demo / ".snakemake", ignore_errors=True)
