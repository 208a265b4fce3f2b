"""What is planned: no more than what was asked for."""

from workflow.runs import demo_config, snakemake, tiny_config


def test_one_figure_needs_no_more_than_it_shows(tmp_path):
    run = snakemake(tmp_path, "--dry-run", "results/figures/score_by_speech_model_size.png")
    assert run.status == 0, run.text
    fitted = [wildcards for rule, wildcards in run.jobs if rule == "fit_encoding"]
    models = {wildcards.split("model=")[1].split(",")[0] for wildcards in fitted}
    assert models == set(demo_config()["sweeps"]["speech_size"]["models"])
    assert "extract_language_features" not in run.rules
    assert run.rules["draw_score_by_speech_model_size"] == 1
    assert "stack_models" not in run.rules


def test_the_module_form_plans_the_same(tmp_path):
    direct = snakemake(tmp_path, "--dry-run")
    (tmp_path / "Snakefile").write_text(
        'include: "{}"\n'.format(__file__.replace("tests/workflow/test_dag.py", "workflow/Snakefile"))
    )
    shim = snakemake(tmp_path, "--dry-run", "--snakefile", tmp_path / "Snakefile")
    assert direct.status == shim.status == 0, shim.text
    assert direct.rules == shim.rules


def test_a_tiny_study_runs_whole_and_resumes(tmp_path):
    config = tiny_config()
    first = snakemake(tmp_path, "results/tables/all/summary.parquet", config=config)
    assert first.status == 0, first.text[-3000:]
    assert first.rules["fit_encoding"] == 8  # 2 models x 2 subjects x 2 sizes
    second = snakemake(tmp_path, "results/tables/all/summary.parquet", config=config)
    assert "Nothing to be done" in second.text
    scores = next((tmp_path / "results/scores/model=tiny-opt-1").rglob("scores.parquet"))
    scores.unlink()
    third = snakemake(tmp_path, "results/tables/all/summary.parquet", config=config)
    assert third.rules == {"fit_encoding": 1, "gather_scores": 1}
