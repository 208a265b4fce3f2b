"""Weights in few bits: refused unasked, and where they are allowed, run and right on a CPU."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import SETTINGS, WORDS, language_architectures, make_card

from voxscale.errors import UserError
from voxscale.features.language_model import LanguageModel, StoryWords
from voxscale.models.prepare import prepare_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch's compiler, which it imports, uses what torch deprecates
    from transformers.integrations.bitnet import pack_weights

ENTRY = language_architectures()["LlamaForCausalLM"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One model twice: weights of -1, 0, 1 times a scale, in float32 and in two bits as BitNet packs them."""
    home = tmp_path_factory.mktemp("models")
    make_card(ENTRY, home / "full")
    shutil.copytree(home / "full", home / "packed")
    full, packed = load_file(home / "full/model.safetensors"), {}
    for name, values in list(full.items()):
        packed[name] = values
        if name.endswith("proj.weight"):
            scale = 1 / values.abs().mean()
            ternary = (values * scale).round().clamp(-1, 1)
            full[name] = ternary / scale
            packed[name] = pack_weights(ternary)
            packed[name.replace(".weight", ".weight_scale")] = scale.reshape(1)
    for kind, weights in (("full", full), ("packed", packed)):
        save_file(weights, home / kind / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((home / "packed/config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitnet", "linear_class": "bitlinear"}
    (home / "packed/config.json").write_text(json.dumps(config))
    return home


def states(card):
    model = LanguageModel(card, SETTINGS)
    times = np.arange(len(WORDS)) / 2.0
    passage = model.passage(StoryWords("s", WORDS, times, times))
    return model, *model.mixed_states(passage, np.eye(passage.n_states))


def test_weights_in_two_bits_are_refused_unless_allowed_and_then_right(folders, tmp_path):
    entries = {kind: replace(ENTRY, build=None, path=str(folders / kind)) for kind in ("full", "packed")}
    with pytest.raises(UserError, match=r"packed holds quantized weights.*allow_quantized"):
        prepare_model(entries["packed"], tmp_path / "packed.json")
    cards = {
        kind: prepare_model(entry, tmp_path / f"{kind}.json", allow_quantized=True)
        for kind, entry in entries.items()
    }
    assert cards["packed"]["parameters"] == cards["full"]["parameters"]
    assert cards["packed"]["weights_id"] != cards["full"]["weights_id"]
    with torch.compiler.set_stance("force_eager"):  # transformers compiles the unpacking, which takes a while
        model, found, nats = states(cards["packed"])
    assert str(model.model.model.layers[0].mlp.up_proj.weight.dtype) == "torch.uint8"
    _, expected, full_nats = states(cards["full"])
    for layer in expected:  # activations pass in eight bits
        assert np.corrcoef(found[layer].ravel(), expected[layer].ravel())[0, 1] > 0.9999
    assert nats == pytest.approx(full_nats, rel=1e-4)
