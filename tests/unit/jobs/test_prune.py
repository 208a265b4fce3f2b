"""Pruning takes what no config uses, and nothing that one does."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import yaml
from tiny_models import SETTINGS, WORDS, language_architectures, make_card
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.features import speech as speech_features
from voxscale.features import store as feature_store
from voxscale.features.text import extract_text
from voxscale.io import tables
from voxscale.io.files import read_json, write_json
from voxscale.jobs import load_jobs, prune
from voxscale.models.build import build_model
from voxscale.study import feature_means, feature_settings

ENTRY = language_architectures()["OPTForCausalLM"]


def write_story(name, words):
    folder = prune.Path("results/stories") / name
    n, m = len(words), 20
    onset, mid = np.arange(n) * 0.5, 2.0 * np.arange(m) - 9
    column = {
        "story": [name] * n,
        "index": range(n),
        "word": words,
        "onset_s": onset,
        "offset_s": onset + 0.3,
    }
    tables.write("words", column, folder / "words.parquet")
    column = {
        "story": [name] * m,
        "row": range(m),
        "onset_s": mid - 1,
        "mid_s": mid,
        "in_response": [True] * m,
    }
    tables.write("clock", column, folder / "clock.parquet")


def study(models=("opt",), stories=("a", "b"), **settings):
    """The part of a study that pruning asks."""
    both = {"max_memory": None, **SETTINGS, **settings}
    kinds = {"opt": ("language", True), "word_rate": ("control", False)}
    return SimpleNamespace(
        grid=SimpleNamespace(used_models=list(models)),
        registry={
            m: SimpleNamespace(modality=kinds[m][0], has_network=kinds[m][1], source=None, context={})
            for m in models
        },
        stories=list(stories),
        config={"features": {"text": both, **both}},
        features_on_gpu=False,
    )


def run(one, stories=None):
    folders = {s: prune.Path("results/stories") / s for s in stories or one.stories}
    paths = {s: (d / "words.parquet", d / "clock.parquet") for s, d in folders.items()}
    extract_text(
        "results/models/opt.json",
        paths,
        "results/features/opt.h5",
        prune.STORIES,
        feature_settings(one, "opt") | feature_means(one, "opt") | {"bits_per_character": True},
    )
    return feature_store.feature_files("results/features/opt.h5")


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = make_card(ENTRY, tmp_path / "opt") | {"model": "opt"}
    write_json("results/models/opt.json", card)
    write_story("a", WORDS)
    write_story("b", WORDS[5:])
    return study()


def test_only_what_an_older_setting_made_is_unused(made):
    old = run(made)
    new_study = study(max_context=13)
    assert prune.unused_features([made]) == []
    # Before the new setting is extracted, the index still leads to the old files: all is kept.
    assert prune.unused_features([new_study]) == []
    new = run(new_study)
    assert sorted(prune.unused_features([new_study])) == sorted(old.values())
    assert prune.unused_features([new_study, made]) == [], "a file that another config uses was given away"
    assert (
        set(prune.unused_features([made])) == set()
    )  # the index leads to the new files, the config to the old
    assert set(new.values()).isdisjoint(old.values())


def test_what_a_killed_extraction_left_is_kept_for_its_resume(made):
    run(made)
    feature_store.feature_files("results/features/opt.h5")["b"].unlink()
    prune.Path("results/features/opt.h5").unlink()
    assert prune.unused_features([made]) == []
    prune.Path("results/stories/b/words.parquet").unlink()  # now the names cannot be known
    assert prune.unused_features([made]) == []
    temporary = prune.STORIES / "opt/.a-0.part.h5"
    temporary.write_bytes(b"half")
    assert prune.unused_features([made]) == []
    os.utime(temporary, (0, 0))
    assert prune.unused_features([made]) == [temporary]


def test_new_weights_make_the_old_files_unused(made):
    old = run(made)
    write_json("results/models/opt.json", read_json("results/models/opt.json") | {"weights_id": "newer"})
    run(made)
    assert sorted(prune.unused_features([made])) == sorted(old.values())


def test_a_model_that_no_config_names_goes_as_a_whole(made):
    run(made)
    controls = study(models=["word_rate"])
    assert prune.unused_features([controls]) == [prune.FEATURES / "opt.h5", prune.STORIES / "opt"]
    assert prune.unused_features([controls, made]) == []


def test_a_real_study_with_speech(tmp_path, monkeypatch):
    """The names that pruning foresees are those that the rule's own call gives."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    config = tiny_config()
    config["sweeps"] = {"speech": {"models": ["tiny-hubert-1"]}}
    kept = ("dataset", "phantom", "sweeps", "controls")
    path.write_text(yaml.safe_dump({k: v for k, v in config.items() if k in kept}))
    one = load_jobs(path, tmp_path).study
    entry = one.registry["tiny-hubert-1"]
    build_model(entry, prune.Path("results/models/tiny-hubert-1"), [])
    card = {"model": entry.slug, "path": "results/models/tiny-hubert-1", "weights_id": "x"}
    write_json("results/models/tiny-hubert-1.json", card | {"n_layers": entry.n_layers})
    for i, (story, path) in enumerate(zip(one.stories, one.sounds(one.stories), strict=True)):
        write_story(story, WORDS)
        prune.Path(path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(i).normal(0, 0.1, 4000), 16000)
    settings = feature_settings(one, "tiny-hubert-1") | feature_means(one, "tiny-hubert-1")
    clocks = [prune.Path("results/stories") / s / "clock.parquet" for s in one.stories]
    sources = dict(zip(one.stories, zip(one.sounds(one.stories), clocks, strict=True), strict=True))
    index = prune.FEATURES / "tiny-hubert-1.h5"
    card = "results/models/tiny-hubert-1.json"
    speech_features.extract_speech(card, sources, index, prune.STORIES, settings)
    made = set(feature_store.feature_files(index).values())
    index.unlink()
    assert {p.resolve() for p in made} == {p.resolve() for p in prune._expected(one, "tiny-hubert-1")}
    stale = prune.STORIES / "tiny-hubert-1/a-0123456789abcdef.h5"
    stale.write_bytes(b"older")
    assert prune.unused_features([one]) == [stale]


def test_nothing_is_deleted_unless_asked_for_and_not_during_a_run(made):
    links = run(made)
    found = prune.unused_features([study(models=["word_rate"])])
    assert "results/features/stories/opt\n" in prune.prune_files(found)
    assert all(file.exists() for file in links.values())
    lock = prune.Path(".snakemake/locks/0.output.lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    with pytest.raises(UserError, match="a run is in progress here"):
        prune.prune_files(found, delete=True)
    lock.unlink()
    assert "deleted" in prune.prune_files(found, delete=True)
    assert not any(file.exists() for file in links.values())
    assert prune.prune_files([]).strip() == "-  that no config named here uses"
