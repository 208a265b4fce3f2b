"""Principal components of a model's features: the right ones, from training stories alone."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from voxscale.errors import UserError
from voxscale.features import components as derived_features
from voxscale.features import store as feature_store
from voxscale.features.components import extract_components, principal_components
from voxscale.io.files import write_json
from voxscale.jobs import Job, Jobs
from voxscale.jobs.features import feature_numbers
from voxscale.models.registry import load_registry
from voxscale.study import feature_settings, law_spec, load_study
from voxscale.versions import NUMBERS

CONFIG = Path(__file__).parents[3] / "config"
TRIM = [4, 2]
STORIES = {"a": 60, "b": 50, "test": 40}


def made(seed=0, width=12):
    """Features that vary most along three directions, in stories of several lengths."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(3, width))
    return {
        story: (rng.normal(size=(n, 3)) @ mixing * 3 + rng.normal(size=(n, width)) + 5).astype(np.float32)
        for story, n in STORIES.items()
    }


def run(folder, stories, width=3, training=("a", "b"), tag=""):
    files = {}
    for story, values in stories.items():
        files[story] = folder / f"src/{story}-{tag}{abs(hash(values.tobytes())):x}.h5"
        feature_store.write_features(files[story], {2: values, 5: values[:, ::-1]}, {})
    feature_store.write_feature_index(folder / "src.h5", files)
    write_json(folder / "card.json", {"model": "m-pca3", "width": width, "source": "m"})
    settings = {"trim": TRIM, "on_disk": "float32"}
    index = folder / "m-pca3.h5"
    card = folder / "card.json"
    extract_components(folder / "src.h5", card, index, folder / "store", training, [2, 5], settings)
    return {story: feature_store.read_features(index, story, 2) for story in stories}


def test_components_are_those_of_the_correlation_matrix(tmp_path):
    stories = made()
    found = run(tmp_path, stories)
    rows = np.concatenate([stories[story][4:-2] for story in ("a", "b")]).astype(float)
    scaled = (rows - rows.mean(0)) / rows.std(0)
    values, vectors = np.linalg.eigh(np.corrcoef(rows.T))
    for story, values_of in stories.items():
        expected = ((values_of - rows.mean(0)) / rows.std(0)) @ vectors[:, ::-1][:, :3]
        signs = np.sign((expected * found[story]).sum(0))
        np.testing.assert_allclose(found[story] * signs, expected, atol=2e-4)
    share = (scaled @ vectors[:, -3:]).var(0).sum() / len(values)
    assert share > 0.8, "three directions were put in"


def test_no_test_story_touches_the_components(tmp_path):
    stories = made()
    before = run(tmp_path / "one", stories)
    other = stories | {"test": stories["test"] * 100 - 7}
    after = run(tmp_path / "two", other)
    for story in ("a", "b"):
        np.testing.assert_array_equal(before[story], after[story])
    changed = run(
        tmp_path / "three", stories | {"a": stories["a"][::-1] * np.arange(1, 13, dtype=np.float32)}
    )
    assert not np.allclose(before["b"], changed["b"])
    # TRs without a response are not looked at either.
    edge = stories["a"].copy()
    edge[:4] *= 50
    np.testing.assert_array_equal(before["b"], run(tmp_path / "four", stories | {"a": edge})["b"])


def test_a_finished_story_is_kept_and_a_changed_source_is_seen(tmp_path):
    stories = made()
    run(tmp_path, stories)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.h5")}
    run(tmp_path, stories)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.h5")} == kept
    run(tmp_path, stories, tag="new-")
    assert len(list((tmp_path / "store").rglob("*.h5"))) == 2 * len(kept)


def test_a_raised_version_makes_every_story_anew(tmp_path, monkeypatch):
    stories, index = made(), tmp_path / "m-pca3.h5"
    old = run(tmp_path, stories), feature_store.feature_files(index)

    def swapped(parts, width):
        known, found = principal_components(parts, width)
        return known, found[:, ::-1]

    monkeypatch.setattr(derived_features, "principal_components", swapped)
    monkeypatch.setitem(NUMBERS, "reduced", NUMBERS["reduced"] + 1)
    new = run(tmp_path, stories), feature_store.feature_files(index)
    for story in stories:
        assert new[1][story] != old[1][story]
        np.testing.assert_allclose(new[0][story], old[0][story][:, ::-1], atol=1e-6)


def test_few_components_of_many_features_are_the_exact_ones(monkeypatch):
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(90, 40)) @ np.diag(np.linspace(3, 1, 40)) @ rng.normal(size=(40, 40))]
    exact = principal_components(parts, 6)[1]
    monkeypatch.setattr("voxscale.features.components._EXACT", 10)
    np.testing.assert_allclose(principal_components(parts, 6)[1], exact, atol=1e-7)
    np.testing.assert_allclose(exact.T @ exact, np.eye(6), atol=1e-10)
    with pytest.raises(ValueError, match=r"41 components of 40 features at 90 training TRs"):
        principal_components(parts, 41)


def study(**changes):
    config = yaml.safe_load((CONFIG / "demo.yaml").read_text())
    return load_study(config | {"plateau": {"width": 16}} | changes)


def test_the_arm_is_a_sweep_and_a_law_of_models_of_its_own():
    found, plain = study(), study(plateau={})
    models = plain.law_models("language")
    assert found.law_models("language_fixed") == [f"{model}-pca16" for model in models]
    assert found.law_models("language") == models
    for own, raw in zip(found.law_cells("language_fixed"), plain.law_cells("language"), strict=True):
        assert own == raw._replace(model=f"{raw.model}-pca16")
    assert set(plain.grid.cells()) < set(found.grid.cells())
    assert law_spec(found, "language_fixed")["voxels"] == law_spec(found, "language")["voxels"]
    assert found.models_of("derived") == found.law_models("language_fixed")
    assert found.map_cells == plain.map_cells, "a reduced model does not count as a model of the maps"
    assert set(feature_numbers(found, "tiny-opt-4-pca16")) == {"reduced", "text"}
    settings = feature_settings(found, "tiny-opt-4-pca16")
    assert settings["source"] == feature_settings(found, "tiny-opt-4")
    assert not set(settings["training"]) & set(found.config["dataset"]["test_stories"])
    assert list(found.plateau_arms) == ["language", "language_fixed"]
    assert list(plain.plateau_arms) == ["language"]


def test_disk_follows_the_precision_and_memory_does_not():
    single, half = (Jobs(study(features={"on_disk": dtype})) for dtype in ("float32", "float16"))
    for rule, model in (
        ("extract_derived_features", "tiny-opt-4-pca16"),
        ("extract_control_features", "word_rate"),
    ):
        whole, less = (jobs.need(Job(rule, {"model": model})) for jobs in (single, half))
        assert less.disk_mb == pytest.approx(whole.disk_mb / 2)
        assert less.memory_mb == whole.memory_mb


def test_an_arm_that_cannot_be_is_reported():
    with pytest.raises(UserError, match=r"plateau\.width: tiny-opt-1 has 16 features; lower the width"):
        study(plateau={"width": 17})
    with pytest.raises(UserError, match=r"plateau\.width: the study has no law of language models"):
        study(laws={})
    with pytest.raises(UserError, match=r"plateau\.width: adds tiny-opt-1-pca16, but that name is taken"):
        study(models={"tiny-opt-1-pca16": {"like": "tiny-opt-1"}})


def test_a_user_cannot_name_the_modality():
    with pytest.raises(UserError, match="modality: 'derived' is not possible"):
        load_registry({"x": {"modality": "derived"}})
