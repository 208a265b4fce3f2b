"""The config: presets, defaults, and independence of the order of its lines."""

import json
import re
from pathlib import Path

import pytest
import yaml
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.study import law_drawn, law_spec, load_study, merge, read_yaml, require_devices
from voxscale.study.config import complete, with_file

CONFIG = Path(__file__).parents[3] / "config"


def load(config):
    return complete(config)


@pytest.fixture
def demo():
    return read_yaml(CONFIG / "demo.yaml")


def test_every_study_in_the_folder_is_complete():
    found = {path.stem: read_yaml(path) for path in CONFIG.glob("*.yaml")}
    studies = {name: study for name, study in found.items() if "dataset" in study and name != "schema"}
    assert studies.keys() == {"config", "demo", "first", "paper", "real", "smollm2"}
    studies["small"] = merge(found["paper"], found["small"])
    for study in studies.values():
        for over in ({}, found["strict"]):
            assert load(merge(study, over))["encoding"]["preset"] in ("strict", "paper")


def test_the_presets_differ_in_every_choice_and_a_key_of_the_study_wins(demo):
    strict = load(demo)["encoding"]
    paper = load(merge(demo, {"encoding": {"preset": "paper"}}))["encoding"]
    for key in ("delays_across_stories", "zscore_test", "folds", "alphas", "layer_choice"):
        assert strict[key] != paper[key], key
    mixed = load(merge(demo, {"encoding": {"preset": "paper", "folds": {"n": 7}}}))["encoding"]
    assert mixed["folds"] == paper["folds"] | {"n": 7}


def test_the_order_of_lines_does_not_matter(demo):
    turned = yaml.safe_load(yaml.safe_dump(demo, sort_keys=True))
    assert json.dumps(load(turned)["features"]) == json.dumps(load(demo)["features"])
    for name, sweep in load(demo)["sweeps"].items():
        assert json.dumps(sweep) == json.dumps(load(turned)["sweeps"][name])
    assert list(load(demo)["sweeps"]) == list(demo["sweeps"])


def test_a_law_takes_its_voxel_sets_from_its_models(demo):
    config = merge(demo, {"laws": {"speech": {"drawn": ["roi:auditory"]}}})
    for law in config["laws"].values():
        law.pop("voxels", None)
    study = load_study(config)
    assert law_spec(study, "language")["voxels"] == ["all", "significant"]
    assert law_drawn(study, "language") == ["all"]
    assert law_spec(study, "speech")["voxels"] == ["all", "significant", "rois"]
    assert law_drawn(study, "speech") == ["roi:auditory"]
    assert "drawn" not in law_spec(study, "speech"), "what is drawn changes no number"
    config["laws"]["language"]["drawn"] = ["roi:auditory"]
    with pytest.raises(UserError, match=r"laws\.language\.drawn: roi:auditory is not in its voxels"):
        load_study(config)


def test_maps_show_one_layer_in_all_subjects_whatever_a_profile_of_one_subject_adds(demo):
    models = ["tiny-opt-2"]
    profile = {"models": models, "layers": [0, 1, 2], "subjects": ["UTS02"]}
    training = {"models": models, "n_train": [2, "all"]}

    def layers(**sweeps):
        config = {"dataset": demo["dataset"], "sweeps": sweeps}
        return {cell.subject: cell.layer for cell in load_study(config).map_cells}

    usual = layers(training=training)
    assert layers(first=profile, training=training) == usual
    assert len(usual) == 2
    assert len(set(usual.values())) == 1
    assert layers(first=profile) == {"UTS02": 1}, "where nothing else is fitted, the middle layer stands"


def test_no_single_model_chooses_the_significant_voxels(demo):
    study = load_study(demo)
    trained = {
        slug
        for slug in study.grid.used_models
        if study.registry[slug].modality in ("language", "speech") and not study.registry[slug].untrained
    }
    found = [(cell.subject, cell.model) for cell in study.reference_cells]
    assert sorted(found) == sorted((s, m) for s in study.subjects for m in trained)
    assert set(study.map_cells) <= set(study.reference_cells)
    assert {cell.n_train for cell in study.reference_cells} == {cell.n_train for cell in study.map_cells}


def test_significant_voxels_can_be_those_of_the_maps_models(demo):
    demo = merge(demo, {"scoring": {"significant_in": "maps"}})
    study = load_study(demo)
    assert set(study.reference_cells) == set(study.map_cells), "none is chosen by its score"
    models = {study.registry[cell.model].modality: cell.model for cell in study.map_cells}
    config = merge(demo, {"maps": models})
    sizes = {name: sweep | {"subjects": study.subjects[:1]} for name, sweep in demo["sweeps"].items()}
    lone = load_study(merge(config, {"sweeps": sizes}))
    assert {cell.subject for cell in lone.reference_cells} == {study.subjects[0]}


def test_blocks_that_cannot_be_resampled_are_reported_before_any_fit():
    first = read_yaml(CONFIG / "first.yaml")
    load_study(first)
    with pytest.raises(UserError, match=r"scoring\.block_trs: UTS03: the test stories have 1 blocks"):
        load_study(merge(first, {"scoring": {"block_trs": 1000}}))


def test_the_given_config_is_left_alone(demo):
    before = json.dumps(demo)
    load(demo)
    assert json.dumps(demo) == before


FILES = {
    "key twice": (
        b"a: 1\nb:\n  c: 2\n  d: 3\n  c: 4\n",
        "line 5: .*, duplicate key c; correct it",
    ),
    "unclosed": (b"x: 1\na: [1\nb: 2", "line 3: not readable as YAML, .* begins in line 2"),
    "tab": (b"a:\n\tb: 1", "line 2: .*YAML takes no tabs"),
    "not UTF-8": ("a: caf\xe9".encode("latin-1"), "not readable as YAML .*utf-8"),
}


@pytest.mark.parametrize("mistake", FILES)
def test_a_file_that_is_no_yaml_is_named(mistake, tmp_path):
    content, expected = FILES[mistake]
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"^{tmp_path}/mine\.yaml: .*{expected}"):
        read_yaml(tmp_path / "mine.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    (tmp_path / "study.yaml").touch()
    with pytest.raises(UserError, match=r"stduy\.yaml: no such file; did you mean .*/study.yaml"):
        read_yaml(tmp_path / "stduy.yaml")
    with pytest.raises(UserError, match=rf"^{tmp_path}: cannot be read \(Is a directory\)"):
        read_yaml(tmp_path)


def test_a_key_may_win_over_one_that_is_merged_in(tmp_path):
    text = "base: &base {a: 1, b: 2}\nnext: &next {<<: *base, b: 3}\nlast: {<<: *next, a: 4}\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert read_yaml(tmp_path / "mine.yaml")["last"] == {"a": 4, "b": 3}


MISTAKES = {
    "share for a count": ({"encoding": {"folds": {"n": 4.0}}}, "encoding.folds.n: 4.0 is not of type"),
    "power for a count": ({"bootstrap": {"draws": 1.0e3}}, "bootstrap.draws: 1000.0 is not of type"),
    "truth for a count": ({"scoring": {"permutations": True}}, "scoring.permutations: True is not of type"),
    "share of a story": ({"sweeps": {"nested": {"n_train": [3.0]}}}, "sweeps.nested.n_train.0: 3.0 does"),
    "share of a layer": ({"sweeps": {"nested": {"layers": [1.0]}}}, "sweeps.nested.layers.0: 1.0 is not"),
    "no number": ({"dataset": {"tr_s": float("nan")}}, "dataset.tr_s: nan is not of type 'number'"),
    "milliseconds for a TR": (
        {"dataset": {"tr_s": 2000}},
        "dataset.tr_s: 2000 is greater than the maximum of 30",
    ),
    "no end": ({"scoring": {"skip_s": float("inf")}}, "scoring.skip_s: inf is not of type 'number'"),
    "no device": (
        {"encoding": {"device": "gpu"}},
        "encoding.device: 'gpu' does not fit; there are auto, cpu, cuda",
    ),
    "no device of features": ({"features": {"device": "gpu"}}, "features.device: 'gpu' does not fit"),
    "no map": ({"features": {"device_map": "autp"}}, "features.device_map: 'autp' is not one of"),
    "no voxels": ({"laws": {"language": {"voxels": ["everything"]}}}, "laws.language.voxels.0: 'everything'"),
    "number for a name": ({"sweeps": {1: {"models": ["tiny-opt-1"]}}}, "sweeps: 1 is not of type 'string'"),
    "number for a key": ({"scoring": {1: 2, "x": 3}}, "scoring: unknown key 1, x; there are"),
    "no float": ({"encoding": {"alphas": {"log10_max": 1000}}}, "alphas.log10_max: 1000 is greater than"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_value_that_cannot_be_is_named(mistake, demo):
    over, expected = MISTAKES[mistake]
    with pytest.raises(UserError, match=f"^config key .*{re.escape(expected)}"):
        load(merge(demo, over))


def few_positions(**more):
    config = tiny_config()
    config["features"] = {}
    config["models"] = {"short": {"like": "tiny-llama-1", **more}}
    config["models"]["short"]["architecture"] = {
        "class": "LlamaForCausalLM",
        "n_layers": 2,
        "width": 16,
        "config": {"max_position_embeddings": 512},
    }
    return config | {"sweeps": {"size": {"models": ["short"]}}}


@pytest.mark.parametrize(
    ("context", "line"),
    [
        ({}, "models.short.context: short has 512 positions, and a context of 512 words .* 564 tokens"),
        ({"max_context": 600, "unit": "tokens"}, "512 positions, and a context of 600 tokens"),
        ({"max_context": 200}, "restart_at must be between 0 and max_context 200"),
        ({"max_contxt": 200}, "unknown key max_contxt; did you mean max_context"),
    ],
)
def test_a_context_must_fit_its_model(tmp_path, monkeypatch, context, line):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=line):
        load_study(few_positions(context=context))
    load_study(few_positions(context={"max_context": 256, "restart_at": 128}))


def test_a_message_names_the_file_that_has_the_key(tmp_path):
    (tmp_path / "a.yaml").write_text("scoring: {fdr: high}\ndataset: {root: x}")
    (tmp_path / "b.yaml").write_text("scoring: {skip_s: 20}")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    assert with_file("config key scoring.fdr: 'high'", files) == f"{files[0]}: config key scoring.fdr: 'high'"
    assert with_file("config key scoring.skip_s: 20", files).startswith(str(files[1]))
    assert with_file("a.wav: no such file", files) == "a.wav: no such file"


def test_a_device_that_this_machine_lacks_is_found_before_the_first_job(demo, monkeypatch):
    monkeypatch.setattr("voxscale.study.machine._has_gpu", lambda: False)
    config = load_study(demo).config
    require_devices(config)
    for block in ("features", "encoding"):
        with pytest.raises(UserError, match=rf"config key {block}\.device: cuda:1, which .* use auto"):
            require_devices(merge(config, {block: {"device": "cuda:1"}}))
