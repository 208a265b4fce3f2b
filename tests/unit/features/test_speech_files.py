"""Speech features as files: what is passed once, what a kill costs, what is never served, what is refused."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from tiny_speech import SETTINGS, make_cards, noise

from voxscale.errors import UserError
from voxscale.features import speech as speech_features
from voxscale.features import speech_encoder
from voxscale.features import store as feature_store
from voxscale.features.sound import RATE
from voxscale.io import tables
from voxscale.versions import NUMBERS


def layers_of(index):
    held = [feature_store.stored_names(path)[0] for path in feature_store.feature_files(index).values()]
    return sorted(set.intersection(*held))


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    return make_cards(tmp_path_factory.mktemp)


@pytest.fixture
def story(tmp_path):
    onset = 2.0 * (np.arange(8) - 2)
    columns = {"story": ["s"] * 8, "row": np.arange(8), "onset_s": onset, "mid_s": onset + 1}
    tables.write("clock", columns | {"in_response": [True] * 8}, tmp_path / "clock.parquet")
    return tmp_path


def run(folder, card, stories, settings=(), layers=None):
    speech_features.extract_speech(
        f"{card['path']}/card.json",
        {name: (path, folder / "clock.parquet") for name, path in stories.items()},
        folder / "features.h5",
        folder / "store",
        SETTINGS | {"on_disk": "float32", "stride_s": 0.5} | dict(settings),
        layers,
    )
    return folder / "features.h5"


def wavs(folder, *names, seconds=4.0):
    for i, name in enumerate(names):
        soundfile.write(folder / f"{name}.wav", noise(seconds, i), RATE)
    return {name: folder / f"{name}.wav" for name in names}


@pytest.fixture
def passes(monkeypatch):
    """Names of the stories that the model was run on."""
    seen = []
    features = speech_encoder.SpeechEncoder.features

    def counted(self, samples, windows, clock, batch, what="windows"):
        seen.append(what.split()[1])
        return features(self, samples, windows, clock, batch, what)

    monkeypatch.setattr(speech_encoder.SpeechEncoder, "features", counted)
    return seen


def test_stories_that_are_there_cost_no_pass(story, cards, passes):
    card = cards["data2vec"]
    stories = wavs(story, "a", "b")
    index = run(story, card, stories, layers=[1])
    assert layers_of(index) == [1]
    assert feature_store.read_features(index, "a", 1).shape == (8, 16)
    first = feature_store.feature_files(index)
    assert passes == ["a", "b"]
    run(story, card, stories, layers=[1])
    assert passes == ["a", "b"]
    run(story, card, stories | wavs(story, "c"), layers=[1])
    assert passes == ["a", "b", "c"]
    run(story, card, {"a": stories["a"]}, layers=[2])  # another layer keeps those that are there
    assert layers_of(index) == [1, 2]
    assert feature_store.feature_files(index)["a"] == first["a"]
    for change in ({"window_s": 0.5}, {"stride_s": 0.25}, {"dtype": "bfloat16"}, {"on_disk": "float16"}):
        changed = feature_store.feature_files(run(story, card, {"a": stories["a"]}, change))["a"]
        assert changed != first["a"]
    soundfile.write(stories["a"], noise(4.0, 9), RATE)
    assert feature_store.feature_files(run(story, card, {"a": stories["a"]}))["a"] != first["a"]


@pytest.mark.parametrize("what", ["weights", "front_end", "window_s", "sound", "clock", "dtype", "numbers"])
def test_a_stale_file_is_never_served(story, cards, passes, what, monkeypatch):
    card, stories, settings = cards["hubert-normalised"], wavs(story, "a"), {}
    old = feature_store.feature_files(run(story, card, stories))["a"]
    if what == "weights":
        other = story / "other"
        shutil.copytree(card["path"], other)
        card = {**card, "path": str(other), "weights_id": "another revision"}
        (other / "card.json").write_text(json.dumps(card))
    elif what == "sound":
        soundfile.write(stories["a"], noise(4.0, 9), RATE)
    elif what == "clock":
        clock = tables.read("clock", story / "clock.parquet")
        late = {name: clock[name] for name in clock.column_names}
        late["mid_s"] = late["mid_s"].to_numpy() + 0.1
        tables.write("clock", late, story / "clock.parquet")
    elif what == "numbers":
        monkeypatch.setitem(NUMBERS, "speech", NUMBERS["speech"] + 1)
    else:
        settings = {"front_end": {"front_end": "story"}, "window_s": {"window_s": 0.5}}.get(
            what, {"dtype": "bfloat16"}
        )
    assert feature_store.feature_files(run(story, card, stories, settings))["a"] != old
    assert passes == ["a", "a"]


def test_killed_and_resumed_gives_the_same_bytes(story, cards, passes, monkeypatch):
    card = cards["hubert"]
    stories = wavs(story, "a", "b", "c")
    last_frames = speech_encoder.SpeechEncoder._last_frames

    def killed(self, *args):
        if passes[-1:] == ["b"]:
            raise KeyboardInterrupt
        return last_frames(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(speech_encoder.SpeechEncoder, "_last_frames", killed)
        with pytest.raises(KeyboardInterrupt):
            run(story, card, stories)
    assert not (story / "features.h5").exists()
    assert not list(story.rglob("*.part*"))
    index = run(story, card, stories)
    assert passes == ["a", "b", "b", "c"]
    resumed = {name: path.read_bytes() for name, path in feature_store.feature_files(index).items()}
    for path in feature_store.feature_files(index).values():
        path.unlink()
    run(story, card, stories)
    assert {name: path.read_bytes() for name, path in feature_store.feature_files(index).items()} == resumed


def test_a_resume_at_another_time_keeps_the_batches(story, cards, monkeypatch):
    card, stories = cards["data2vec"], wavs(story, "a", "b")
    sizes, threads = [], torch.get_num_threads()
    last_frames = speech_encoder.SpeechEncoder._last_frames

    def noted(self, values, *args):
        sizes.append(len(values))
        return last_frames(self, values, *args)

    monkeypatch.setattr(speech_encoder.SpeechEncoder, "_last_frames", noted)
    monkeypatch.setattr(speech_encoder.SpeechEncoder, "batch_size", lambda self: 3)
    run(story, card, {"a": stories["a"]})
    first, sizes[:] = sizes[:], []
    monkeypatch.setattr(speech_encoder.SpeechEncoder, "batch_size", lambda self: 1)
    torch.set_num_threads(threads + 1)
    try:
        run(story, card, stories)
    finally:
        torch.set_num_threads(threads)
    assert sizes == first
    assert max(sizes) == 3


# As torch says it on a GPU, and on a CPU.
@pytest.mark.parametrize(
    "failure",
    [torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")],
)
def test_out_of_memory_halves_the_batch(story, cards, monkeypatch, capsys, failure):
    card = cards["hubert"]
    stories = wavs(story, "a")
    monkeypatch.setattr(speech_encoder.SpeechEncoder, "batch_size", lambda self: 4)
    expected = feature_store.read_features(run(story, card, stories), "a", 2)
    feature_store.feature_files(story / "features.h5")["a"].unlink()
    last_frames = speech_encoder.SpeechEncoder._last_frames

    def small_device(self, values, *args):
        if len(values) > most:
            raise failure
        return last_frames(self, values, *args)

    monkeypatch.setattr(speech_encoder.SpeechEncoder, "_last_frames", small_device)
    most = 2
    np.testing.assert_allclose(
        feature_store.read_features(run(story, card, stories), "a", 2), expected, atol=1e-4
    )
    assert "hubert: out of memory; going on with batches of 2" in capsys.readouterr().err
    feature_store.feature_files(story / "features.h5")["a"].unlink()
    most = 0
    with pytest.raises(
        UserError, match=r"out of memory with one window of 1 s; lower features\.speech\.window_s"
    ):
        run(story, card, stories)


def test_mistakes_are_reported_in_one_line(story, cards):
    card = cards["whisper"]
    good = wavs(story, "a")
    with pytest.raises(
        UserError, match=r"window_s: 2\.5 s is longer than the 2 s that whisper takes; lower it"
    ):
        run(story, card, good, {"window_s": 2.5})
    with pytest.raises(UserError, match="whisper: has no layer 3; it has 0 to 2"):
        run(story, card, good, layers=[3])
    bad = story / "bad.wav"
    for content, stated in (
        ("<!doctype html><html>", "is an HTML page, not a sound file"),
        ("no sound", "is not a sound file"),
        ("", "is an empty file"),
        ("/annex/objects/MD5E-s1--x.wav", "datalad get"),
    ):
        bad.write_text(content)
        with pytest.raises(UserError, match=stated) as caught:
            run(story, card, {"bad": bad})
        assert str(caught.value).startswith(str(bad))
        assert "\n" not in str(caught.value)
    for samples, stated in ((np.zeros(0), "holds no sound"), (np.zeros(399), "has no window of 400 samples")):
        soundfile.write(bad, samples, RATE)
        with pytest.raises(UserError, match=rf"bad\.wav: .*{stated}"):
            run(story, card, {"bad": bad}, {"stride_s": 0.02})
    soundfile.write(bad, np.array([0.0, np.nan] * 400), RATE, subtype="FLOAT")
    with pytest.raises(UserError, match="samples that are not finite"):
        run(story, card, {"bad": bad})
    with pytest.raises(UserError, match=r"gone\.wav: no such file"):
        run(story, card, {"bad": story / "gone.wav"})
