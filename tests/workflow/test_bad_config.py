"""Mistakes in a study's config: one line that names the key, before any job, and no traceback."""

from pathlib import Path

import pytest
import yaml
from workflow.runs import demo_config, snakemake

from voxscale.errors import UserError
from voxscale.jobs import load_jobs


def change(path, value):
    def apply(config):
        *parents, last = path.split(".")
        for key in parents:
            config = config[key]
        config[last] = value

    return apply


def drop(path):
    def apply(config):
        *parents, last = path.split(".")
        for key in parents:
            config = config[key]
        del config[last]

    return apply


MISTAKES = {
    "unknown key": (change("dataset.rot", "x"), "config key dataset: unknown key rot; did you mean root?"),
    "unknown top key": (change("datasets", {}), "unknown key datasets"),
    "unknown kind": (
        change("dataset.kind", "ds0"),
        "dataset.kind: 'ds0' is not one of phantom, ds003020, folder, bids",
    ),
    "no subjects": (change("dataset.subjects", []), "dataset.subjects:"),
    "subject twice": (change("dataset.subjects", ["UTS01", "UTS01"]), "dataset.subjects:"),
    "missing root": (drop("dataset.root"), "'root' is a required property"),
    "unknown test story": (change("dataset.test_stories", ["nosuchstory"]), "nosuchstory"),
    "train is test": (
        change("dataset.training_stories", ["nightbaker", "thelighthousekeeper"]),
        "thelighthousekeeper is in training and in test",
    ),
    "unknown training story": (change("dataset.training_stories", ["nightbaker", "zzz"]), "zzz"),
    "unknown model": (change("sweeps.nested.models", ["gpt-9"]), "sweeps.nested.models: unknown model gpt-9"),
    "layer out of range": (
        change("sweeps.layers.layers", [99]),
        "layer 99 of model tiny-opt-4, which has layers 0 to 4",
    ),
    "depth out of range": (change("sweeps.nested.layers", {"depth": 2}), "sweeps.nested.layers"),
    "too many stories": (change("sweeps.training_size.n_train", [99]), "n_train: 99 stories requested"),
    "no stories": (change("sweeps.training_size.n_train", [0]), "sweeps.training_size.n_train"),
    "subject of another study": (
        change("sweeps.layers.subjects", ["UTS09"]),
        "UTS09 is not in dataset.subjects; add it there (did you mean",
    ),
    "reserved sweep": (change("sweeps.maps", {"models": ["tiny-opt-1"]}), "sweeps.maps: this name"),
    "law over controls": (
        change("laws.language.sweep", "controls"),
        "laws.language.x: no parameters of autocorrelation",
    ),
    "law of two points": (change("laws.training.sweep", "language_size"), "has 1 training sizes"),
    "joint law of one size": (change("joint.sweep", "nested"), "joint.sweep: nested needs two models"),
    "joint law of no sweep": (change("joint.sweep", "nosuch"), "joint.sweep: unknown sweep nosuch"),
    "profile of one layer": (change("profiles.sweep", "nested"), "profiles.sweep: nested has one layer"),
    "alphas upside down": (
        change("encoding", {"alphas": {"log10_min": 4, "log10_max": 1}}),
        "encoding.alphas.log10_min: must be below",
    ),
    "map of the wrong modality": (
        change("maps", {"speech": "tiny-opt-4"}),
        "maps.speech: tiny-opt-4 is not a speech model",
    ),
    "voxels of nobody": (change("dataset.voxels", "v/{subj}.tsv"), "v/{subj}.tsv must contain"),
    "law of no sweep": (change("laws.language.sweep", "size"), "unknown sweep size"),
    "law of no quantity": (change("laws.language.x", "weight"), "laws.language.x: no model has weight; "),
    "negative delay": (change("encoding", {"delays": [-1]}), "encoding.delays.0"),
    "fold of one": (change("encoding", {"folds": {"n": 1}}), "encoding.folds.n"),
    "unknown preset": (
        change("encoding", {"preset": "papr"}),
        "'papr' is not one of strict, paper; did you mean paper?",
    ),
    "unknown word": (change("sweeps.nested.layers", "lst"), "'lst' does not fit; did you mean last?"),
    "unknown device": (change("features.device", "cuad"), "'cuad' does not fit; did you mean cuda?"),
    "text for a number": (change("scoring", {"skip_s": "long"}), "scoring.skip_s: 'long' is not of type"),
    "restart beyond context": (
        change("features.text", {"max_context": 10, "restart_at": 20}),
        "features.text.restart_at: must be below max_context",
    ),
    "memory in words": (
        change("features.max_memory", {"gpu": "lots"}),
        "features.max_memory.gpu: 'lots' does",
    ),
    "memory of nothing": (
        change("features.max_memory", {"tpu": "4GB"}),
        "features.max_memory: unknown key tpu",
    ),
    "a precision that no weights have": (
        change("models", {"mine": {"like": "gpt2", "dtype": "int4"}}),
        "study.yaml: config key models.mine.dtype: int4 is not possible; there are float32, ",
    ),
    "law of an unknown region": (
        change("laws.language.voxels", ["all", "roi:languge"]),
        "laws.language.voxels: no voxel is in region languge; did you mean language?",
    ),
    "stack of a model of no sweep": (
        change("stacking.members", [{"model": "gpt2"}]),
        "stacking.members: gpt2 is in no sweep; add it to one (there are",
    ),
    "stack of an unknown model": (change("stacking.members", [{"model": "no"}]), "unknown model no"),
    "map of an unknown model": (change("maps", {"language": "no"}), "maps.language"),
    "model with an unknown key": (
        change("models", {"mine": {"modality": "language", "hubb": "x"}}),
        "mine: unknown key hubb",
    ),
    "model of no modality": (change("models", {"mine": {"modality": "smell"}}), "mine.modality: 'smell'"),
    "bad model name": (change("models", {"My Model": {"modality": "control"}}), "My Model"),
    "dataset that is not there": (change("dataset.kind", "folder"), "dataset.root"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_line_names_the_key(mistake, tmp_path, monkeypatch):
    """`load_jobs` reads a config as the Snakefile does."""
    monkeypatch.chdir(tmp_path)
    apply, expected = MISTAKES[mistake]
    config = demo_config()
    apply(config)
    Path("study.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError) as caught:
        load_jobs("study.yaml")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("results").exists()


@pytest.mark.parametrize("mistake", ["unknown key", "layer out of range", "dataset that is not there"])
def test_snakemake_prints_one_line_before_any_job(mistake, tmp_path):
    apply, expected = MISTAKES[mistake]
    config = demo_config()
    apply(config)
    run = snakemake(tmp_path, "--dry-run", "--quiet", config=config)
    assert run.status != 0
    lines = [line for line in run.text.splitlines() if expected in line]
    assert len(lines) == 1, run.text
    assert "Traceback" not in run.text
    assert "  File " not in run.text, run.text
    assert not (tmp_path / "results").exists()


FILES = {
    "not YAML": ("dataset: [unclosed", "Config file is not valid JSON or YAML"),
    "key twice": (
        "scoring: {fdr: 0.1}\nscoring: {skip_s: 20}",
        "line 2: not readable as YAML, duplicate key scoring",
    ),
    "laid over nothing": ("encoding: {preset: strict}", "config key top level: 'dataset' is a required"),
}


@pytest.mark.parametrize("mistake", FILES)
def test_a_file_that_is_no_study(mistake, tmp_path):
    text, expected = FILES[mistake]
    (tmp_path / "bad.yaml").write_text(text)
    run = snakemake(tmp_path, "--dry-run", "--configfile", tmp_path / "bad.yaml")
    assert run.status != 0
    assert expected in run.text
    assert "Traceback" not in run.text


def test_a_setting_of_the_command_line_is_laid_over_the_demo(tmp_path):
    run = snakemake(tmp_path, "--dry-run", "--config", "scoring={fdr: high}")
    assert "config key scoring.fdr: 'high' is not of type" in run.text, run.text


def test_results_that_are_no_folder(tmp_path):
    (tmp_path / "results").touch()
    run = snakemake(tmp_path, "--dry-run")
    assert run.status != 0
    assert run.text.splitlines()[-1].startswith(f"ERROR {tmp_path}/results: no file can be written in it")
    assert "  File " not in run.text, run.text
