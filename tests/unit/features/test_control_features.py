"""Controls against literal loops, and what they may not know."""

import json
import tracemalloc

import numpy as np
import pytest
import soundfile

from voxscale.errors import UserError
from voxscale.features import controls as controls
from voxscale.features import sound
from voxscale.features import store as feature_store
from voxscale.features.sound import RATE
from voxscale.io import tables
from voxscale.jobs import resources
from voxscale.models.registry import CONTROLS, load_registry

N = 20


def layers_of(index):
    held = [feature_store.stored_names(path)[0] for path in feature_store.feature_files(index).values()]
    return sorted(set.intersection(*held))


def write_clock(path, n=N, before=5):
    onset = 2.0 * (np.arange(n) - before)
    columns = {"story": ["a"] * n, "row": np.arange(n), "onset_s": onset, "mid_s": onset + 1}
    tables.write("clock", columns | {"in_response": [True] * n}, path)
    return controls.read_tr_times(path)


@pytest.fixture
def ticks(tmp_path):
    return write_clock(tmp_path / "clock.parquet")


def test_rate_counts_each_event_once(ticks):
    times = np.random.default_rng(0).permutation(np.r_[np.linspace(0.1, 23.7, 61), 0.0, 2.0, 29.99, 500.0])
    expected = [sum(start <= t < start + 2 for t in times) / 2 for start in 2.0 * (np.arange(N) - 5)]
    np.testing.assert_allclose(controls.event_rate(times, ticks)[:, 0], expected)


def test_mel_is_the_mean_level_of_its_frames(ticks):
    from transformers.audio_utils import mel_filter_bank

    x = np.random.default_rng(1).normal(0, 0.1, 5 * RATE + 123).astype("f4")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    filters = mel_filter_bank(201, 8, 0.0, 8000.0, RATE)
    padded = np.pad(x, 200)
    total, number = np.zeros((N, 8)), np.zeros(N)
    for frame in range(len(x) // 160 + 1):
        power = np.abs(np.fft.rfft(padded[frame * 160 : frame * 160 + 400] * window * 2 / window.sum())) ** 2
        row = int(frame * 0.01 // 2) + 5
        total[row] += 10 * np.log10(power @ filters + 1e-8)
        number[row] += 1
    out = controls.mel_levels(x, ticks, 8)
    assert out.dtype == np.float32
    expected = np.where(number[:, None] > 0, total / np.maximum(number, 1)[:, None], -80)
    assert (number > 0).sum() == 3
    np.testing.assert_allclose(out, expected, atol=1e-3)


def test_mel_tells_pitch_and_level(ticks):
    t = np.arange(4 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * hz * t).astype("f4") for hz in (300, 3000))
    a, b = (controls.mel_levels(x, ticks, 16)[6] for x in (low, high))
    assert a.argmax() < b.argmax()
    np.testing.assert_allclose(a.max() - controls.mel_levels(low / 10, ticks, 16)[6].max(), 20, atol=0.1)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 6), (96_000, 2)])
def test_mel_takes_the_memory_that_is_priced(tmp_path, ticks, rate, channels):
    seconds = 60
    one = np.random.default_rng(0).normal(0, 0.1, (rate, channels))
    soundfile.write(tmp_path / "x.wav", np.tile(one, (seconds, 1)), rate)
    soundfile.write(tmp_path / "short.wav", np.zeros(1000), 44_100)
    controls.mel_levels(sound.read_sound(tmp_path / "short.wav"), ticks, 32)  # imports
    tracemalloc.start()
    controls.mel_levels(sound.read_sound(tmp_path / "x.wav"), ticks, 32)
    taken = tracemalloc.get_traced_memory()[1] / seconds
    tracemalloc.stop()
    assert taken <= resources.SOUND_BYTES <= 3 * taken


def test_time_since_onset(ticks):
    out = controls.time_since_onset(ticks)
    for row, middle in enumerate(2.0 * (np.arange(N) - 5) + 1):
        expected = [0.0] * 4 if middle < 0 else [middle, *(np.exp(-middle / tau) for tau in (10, 30, 100))]
        np.testing.assert_allclose(out[row], expected, rtol=1e-6)


def test_autocorrelation_is_smooth_seeded_and_stationary(tmp_path):
    ticks = write_clock(tmp_path / "long.parquet", 4000)
    out = controls.autocorrelation("a", ticks, 0)
    np.testing.assert_array_equal(out, controls.autocorrelation("a", ticks, 0))
    lag1 = np.array([np.corrcoef(x[1:], x[:-1])[0, 1] for x in out.T])
    np.testing.assert_allclose(lag1, np.exp(-2 / np.geomspace(2, 64, 64)), atol=0.07)
    many = np.stack(
        [controls.autocorrelation(f"s{i}", write_clock(tmp_path / "c.parquet"), 0) for i in range(200)]
    )
    np.testing.assert_allclose(many.std(0).mean(1), 1, atol=0.05)  # from the first row on
    for other in (controls.autocorrelation("b", ticks, 0), controls.autocorrelation("a", ticks, 1)):
        assert abs(np.corrcoef(out[:, 0], other[:, 0])[0, 1]) < 0.2


@pytest.fixture
def study(tmp_path):
    """Two stories' files, and a function that extracts a card's features of them."""
    rng = np.random.default_rng(0)
    stories = {}
    for story in ("a", "b"):
        clock, words, phones = (tmp_path / f"{story}-{kind}.parquet" for kind in ("clock", "words", "phones"))
        write_clock(clock)
        onset = np.sort(rng.uniform(0, 28, 50))
        spoken = {"story": [story] * 50, "index": np.arange(50), "onset_s": onset, "offset_s": onset + 0.1}
        tables.write("words", spoken | {"word": ["w"] * 50}, words)
        tables.write("phones", spoken | {"phone": ["AH"] * 50, "onset_s": onset[::-1]}, phones)
        soundfile.write(tmp_path / f"{story}.wav", rng.normal(0, 0.1, 22 * RATE), RATE)
        np.save(tmp_path / f"{story}.npy", rng.normal(size=(N, 6)))
        stories[story] = controls.ControlSources(
            clock, words, phones, tmp_path / f"{story}.wav", tmp_path / f"{story}.npy"
        )

    def run(stories=stories, settings=(), **card):
        card = {"model": "m", "modality": "control", "control": None, "dims": None} | card
        (tmp_path / "m.json").write_text(json.dumps(card))
        defaults = {"mel_bands": 8, "seed": 0, "on_disk": "float32"}
        controls.extract_controls(
            tmp_path / "m.json", stories, tmp_path / "m.h5", tmp_path / "store", defaults | dict(settings)
        )
        return tmp_path / "m.h5"

    return stories, run


@pytest.mark.parametrize(
    ("kind", "width"),
    [("word_rate", 1), ("phoneme_rate", 1), ("mel", 8), ("time_since_onset", 4), ("autocorrelation", 64)],
)
def test_every_control_on_the_clock(study, kind, width):
    stories, run = study
    index = run(control=kind)
    assert sorted(feature_store.feature_files(index)) == ["a", "b"]
    assert layers_of(index) == [0]
    a, b = (feature_store.read_features(index, story, 0) for story in stories)
    assert a.shape == (N, width)
    assert np.array_equal(a, b) == (kind == "time_since_onset")
    if kind != "time_since_onset":  # a setting or a source that the numbers hang on makes new files
        before = feature_store.feature_files(index)
        again = feature_store.feature_files(run(control=kind, settings={"on_disk": "float16"}))
        assert all(before[story] != again[story] for story in stories)
        assert feature_store.feature_files(run(control=kind)) == before


def test_nested_is_the_leading_dimensions(study):
    stories, run = study
    index = run(modality="nested", dims=4)
    for story, sources in stories.items():
        expected = np.load(sources.latents)[:, :4].astype("f4")
        np.testing.assert_array_equal(feature_store.read_features(index, story, 0), expected)


def test_layers_of_a_nested_model_have_each_its_own_noise(study):
    stories, run = study
    index = run(modality="nested", dims=6, noise=[2.0, 0.0, 1.0])
    assert layers_of(index) == [0, 1, 2]
    errors = []
    for story, sources in stories.items():
        latent = np.load(sources.latents)
        layers = [feature_store.read_features(index, story, i) for i in range(3)]
        np.testing.assert_allclose(layers[1], latent, atol=1e-6)
        errors.append([layer - latent for layer in layers])
    deviations = np.std(np.array(errors), axis=(0, 2, 3))
    np.testing.assert_allclose(deviations, [2, 0, 1], atol=0.25)
    noises = [errors[0][0].ravel(), errors[0][2].ravel(), errors[1][0].ravel()]
    assert np.abs(np.corrcoef(noises)[np.triu_indices(3, 1)]).max() < 0.3, "no two are the same"


def test_only_what_changed_is_made_again(study):
    stories, run = study
    before = feature_store.feature_files(run(control="mel"))
    stamp = before["b"].stat().st_mtime_ns
    soundfile.write(stories["a"].audio, np.zeros(22 * RATE), RATE)
    after = feature_store.feature_files(run(control="mel"))
    assert after["a"] != before["a"]
    assert after["b"] == before["b"]
    assert after["b"].stat().st_mtime_ns == stamp


def test_mistakes_are_reported_in_one_line(study, tmp_path):
    stories, run = study
    with pytest.raises(UserError, match="no control loudness; known are word_rate"):
        run(control="loudness")
    with pytest.raises(UserError, match="a has no latents"):
        run({"a": stories["a"]._replace(latents=None)}, modality="nested", dims=2)
    with pytest.raises(UserError, match=r"a\.npy: has 6 dimensions, not 7"):
        run(modality="nested", dims=7)
    np.save(tmp_path / "b.npy", np.zeros((N + 1, 6)))
    with pytest.raises(UserError, match=r"b\.npy: has shape \(21, 6\) for 20 clock TRs"):
        run(modality="nested", dims=2)
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(UserError, match=r"b\.npy: is not a NumPy array"):
        run(modality="nested", dims=2)
    (tmp_path / "a.wav").write_text("<!DOCTYPE html><html>")
    with pytest.raises(UserError, match=r"a\.wav: is an HTML page, not a"):
        run(control="mel")


def test_entries_name_the_controls_that_there_are():
    assert {*controls._CONTROLS} == {*CONTROLS, "nested"}
    with pytest.raises(
        UserError, match=r"models\.mine\.control: no control word_rat; did you mean word_rate"
    ):
        load_registry({"mine": {"modality": "control", "control": "word_rat"}})
