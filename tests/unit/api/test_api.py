"""What a notebook uses: thin functions of arrays, against the parts of the workflow that they stand for."""

import doctest
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
from tiny_models import WORDS, language_architectures, make_card
from tiny_speech import SETTINGS, make_cards

import voxscale
from voxscale import fit_law, noise_ceiling, speech_features, stack, text_features
from voxscale.features.language_model import LanguageModel, StoryWords
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.features.speech_windows import slide_windows

LIBRARY = Path(voxscale.__file__).parent
MODULES = [
    ".".join(["voxscale", *path.relative_to(LIBRARY).with_suffix("").parts])
    for path in sorted(LIBRARY.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried
    assert not failed


def test_every_public_name_can_be_imported():
    assert set(voxscale.__all__) <= set(dir(voxscale))
    for name in voxscale.__all__:
        assert inspect.getdoc(getattr(voxscale, name)), f"{name} has no docstring"


def test_a_ceiling_is_that_of_the_simulated_signal():
    random = np.random.default_rng(0)
    power = np.array([0.0, 0.5, 1.0, 2.0])
    signal = random.standard_normal((3000, 4)) * np.sqrt(power)
    found = noise_ceiling(signal + random.standard_normal((8, 3000, 4)))
    np.testing.assert_allclose(found.signal_power, power, atol=0.1)
    np.testing.assert_allclose(found.ccmax[1:], np.sqrt(power / (power + 1 / 8))[1:], atol=0.02)
    assert found.reliable.tolist() == [False, True, True, True]
    assert found.n_repeats == 8
    two = noise_ceiling([signal[None, :1000].repeat(3, 0), signal[None, 1000:].repeat(3, 0)])
    np.testing.assert_allclose(two.ccmax[1:], 1.0)


def test_a_law_is_found_with_its_interval():
    x, random = np.geomspace(1, 100, 6), np.random.default_rng(0)
    y = 0.05 + 0.03 * np.log10(x)
    law = fit_law(np.stack([x, y], 1), resamples=y + 0.001 * random.standard_normal((500, 6)), n_blocks=50)
    assert law.parameters == pytest.approx({"a": 0.05, "b": 0.03})
    low, high = law.intervals["b"]
    assert low < 0.03 < high < low + 0.01
    np.testing.assert_allclose(law.predict(x), y)
    assert law.implied["per_decade"] == pytest.approx(0.03)
    assert law.largest_error == pytest.approx(0, abs=1e-12)
    assert not fit_law(np.stack([x, y], 1), "saturating").intervals


def test_a_stack_is_the_best_convex_combination():
    random = np.random.default_rng(0)
    truth = random.standard_normal((400, 5))
    members = [truth + random.standard_normal((400, 5)) * size for size in (0.5, 1.0, 30.0)]
    found = stack(members, truth)
    assert found.weights.shape == (5, 3)
    np.testing.assert_allclose(found.weights.sum(1), 1)
    np.testing.assert_allclose(found.weights.mean(0), [0.8, 0.2, 0], atol=0.06)
    expected = sum(share * member for share, member in zip(found.weights.T, members, strict=True))
    np.testing.assert_allclose(found.predict(members), expected)


def test_text_features_are_those_of_the_workflow(tmp_path):
    card = make_card(language_architectures()["OPTForCausalLM"], tmp_path / "opt")
    times, clock = 0.4 * np.arange(len(WORDS)) + 0.2, np.arange(1.0, 9, 2)
    found = text_features(tmp_path / "opt", WORDS, times, clock, device="cpu")
    settings = {
        "unit": "words",
        "max_context": 512,
        "restart_at": 256,
        "dtype": "float32",
        "token_budget": 64,
        "bits_per_character": True,
        "device": "cpu",
        "device_map": None,
    }
    model, story = LanguageModel(card, settings), StoryWords("tale", WORDS, times, clock)
    ((layers, numbers),) = model.features([story], [model.prepare(story)])
    assert sorted(found.layers) == [0, 1, 2]
    for layer, values in layers.items():
        np.testing.assert_allclose(found.layers[layer], values, rtol=1e-4, atol=1e-5)
    assert found.bits_per_character == pytest.approx(numbers["bits_per_character"], rel=1e-5)


def test_speech_features_are_those_of_the_workflow(tmp_path):
    card = make_cards(lambda name: tmp_path / name, ["hubert"])["hubert"]
    sound = np.random.default_rng(0).normal(0, 0.1, (3 * 8000, 2)).astype(np.float32)
    found = speech_features(card["path"], sound, 8000, [0.5, 1.5, 2.5], [1], window_s=1.0, device="cpu")
    assert {layer: values.shape for layer, values in found.layers.items()} == {1: (3, 16)}
    encoder = SpeechEncoder(card, SETTINGS | {"device": "cpu"}, [1])
    from scipy.signal import resample_poly

    samples = resample_poly(sound.mean(1), 2, 1).astype(np.float32)
    windows = slide_windows(len(samples), 1.0, 0.1, encoder.minimum)
    (expected,) = encoder.features(samples, windows, np.array([0.5, 1.5, 2.5]), 1).values()
    np.testing.assert_allclose(found.layers[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: noise_ceiling(np.zeros((3, 4))), "give \\(repeats, TRs, voxels\\)"),
        (lambda: noise_ceiling(np.zeros((1, 4, 2))), "one repeat"),
        (lambda: fit_law([[1, 2]], "cubic"), "form cubic is unknown; known are log_linear"),
        (lambda: fit_law([1, 2]), "give \\(points, 2\\)"),
        (lambda: fit_law([[0, 1], [1, 2]]), "its x is not above 0"),
        (lambda: fit_law([[1, 1], [2, 2]], "saturating"), "saturating has 3 parameters, the points 2"),
        (lambda: fit_law([[1, 1], [2, 2]], resamples=np.zeros((5, 2))), "n_blocks"),
        (lambda: stack(np.zeros((2, 5)), np.zeros(5)), "give \\(models, TRs, voxels\\)"),
        (lambda: stack(np.zeros((2, 5, 3)), np.zeros((3, 5))), "responses have shape \\(3, 5\\)"),
        (lambda: text_features("nowhere", ["a"], [0.0], [0.0, 2.0]), "nowhere is neither a folder"),
        (lambda: text_features("nowhere", ["a"], [0.0, 1.0], [0.0, 2.0]), "give each word one"),
        (lambda: text_features("nowhere", ["a"], [0.0], [2.0, 0.0]), "ascending times"),
        (lambda: speech_features("nowhere", [np.nan], 16000, [0.0, 2.0]), "finite samples"),
    ],
)
def test_what_cannot_work_is_a_value_error_in_plain_words(call, line):
    with pytest.raises(ValueError, match=line):
        call()
