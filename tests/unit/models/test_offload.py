"""Models that memory does not hold: split over memory and disk they give the same and leave nothing."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_models import SETTINGS, WORDS, language_architectures, make_card, registry

from voxscale.errors import UserError
from voxscale.features.language_model import LanguageModel, StoryWords
from voxscale.features.sound import RATE
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.models.build import build_model
from voxscale.models.loading import offload_folder


def read(model):
    """All states of one passage, and its surprisal."""
    times = np.arange(len(WORDS)) / 2.0
    passage = model.passage(StoryWords("s", WORDS, times, times))
    return model.mixed_states(passage, np.eye(passage.n_states))


def offloaded(model):
    return [name for name, values in model.named_parameters() if values.is_meta]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    entry = replace(language_architectures()["LlamaForCausalLM"], n_layers=4)
    return make_card(entry, tmp_path_factory.mktemp("llama"))


def test_a_device_map_of_memory_and_disk(card, tmp_path):
    on_cpu = [f"model.{part}" for part in ("embed_tokens", "layers.0", "layers.1", "layers.3", "norm")]
    on_cpu += ["model.rotary_emb", "lm_head"]
    expected, nats = read(LanguageModel(card, SETTINGS))
    device_map = dict.fromkeys(on_cpu, "cpu") | {"model.layers.2": "disk"}
    split = LanguageModel(card, {**SETTINGS, "device_map": device_map}, offload=tmp_path)
    assert {name.split(".")[2] for name in offloaded(split.model)} == {"2"}
    found, more = read(split)
    for k in expected:
        np.testing.assert_allclose(found[k], expected[k], atol=1e-5)
    assert more == pytest.approx(nats, rel=1e-5)


def test_limited_memory_sends_the_rest_to_a_folder_of_ones_own(card, tmp_path):
    expected, _ = read(LanguageModel(card, SETTINGS))
    limited = SETTINGS | {"device_map": "auto", "max_memory": {"cpu": "100KB"}}
    with offload_folder(tmp_path / "store") as one, offload_folder(tmp_path / "store") as other:
        assert one != other  # two writers of one model
        split = LanguageModel(card, limited, offload=one)
        assert offloaded(split.model)
        (one / "weights.dat").touch()  # as accelerate leaves them of files that cannot be read in parts
        found, _ = read(split)
    for k in expected:
        np.testing.assert_allclose(found[k], expected[k], atol=1e-5)
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize("cpu", ["150KB", "1KB"])
def test_an_untrained_twin_is_split_as_its_model_is(card, tmp_path, cpu):
    twin = card | {"untrained": True, "seed": 3}
    expected, nats = read(LanguageModel(twin, SETTINGS))
    limited = SETTINGS | {"device_map": "auto", "max_memory": {"cpu": cpu}}
    with offload_folder(tmp_path / "store") as one, offload_folder(tmp_path / "store") as other:
        split, model = LanguageModel(twin, limited, offload=one), LanguageModel(card, limited, offload=other)
        assert offloaded(split.model) == offloaded(model.model) != []
        found, more = read(split)
    for k in expected:
        np.testing.assert_allclose(found[k], expected[k], atol=1e-5)
    assert more == pytest.approx(nats, rel=1e-5)
    assert not list((tmp_path / "store").iterdir())


SPEECH = {"window_s": 1.0, "stride_s": 0.1, "dtype": "float32", "device": "cpu", "device_map": None}
LIMITED = SPEECH | {"device_map": "auto", "max_memory": {"cpu": "10KB"}}


def speech_card(slug, folder):
    entry = registry()[slug]
    build_model(entry, folder, [])
    return {"model": slug, "path": str(folder), "n_layers": entry.n_layers, "weights_id": slug}


@pytest.mark.parametrize("slug", ["tiny-hubert-1", "tiny-hubert-2", "tiny-whisper-1"])
@pytest.mark.parametrize("twin", [{}, {"untrained": True, "seed": 3}])
def test_speech_encoders_are_split_too(tmp_path, slug, twin):
    card = speech_card(slug, tmp_path / "m") | twin
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    stops = np.array([RATE, RATE + 1600, 2 * RATE])
    expected = SpeechEncoder(card, SPEECH).reader(sound)(stops - RATE, stops)
    with offload_folder(tmp_path / "store") as offload:
        split = SpeechEncoder(card, LIMITED, offload=offload)
        assert offloaded(split.model)
        found = split.reader(sound)(stops - RATE, stops)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not list((tmp_path / "store").iterdir())


def test_an_encoder_that_cannot_be_split_is_reported_in_one_line(tmp_path):
    card = speech_card("tiny-wavlm-2", tmp_path / "m")
    message = r"tiny-wavlm-2: cannot be run with weights on disk; .*max_memory"
    with offload_folder(tmp_path / "store") as offload, pytest.raises(UserError, match=message):
        SpeechEncoder(card, LIMITED, offload=offload)
    assert not list((tmp_path / "store").iterdir())
