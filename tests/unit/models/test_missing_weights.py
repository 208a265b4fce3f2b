"""Weights that are not in a model's files: refused, never replaced by random ones."""

import json
import shutil
from pathlib import Path

import pytest
import tiny_models
import tiny_speech
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

from voxscale.errors import UserError
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.models.loading import load_model

CPU = {"device": "cpu"}


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    entry = tiny_models.language_architectures()["LlamaForCausalLM"]
    return tiny_models.make_card(entry, tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    return tiny_speech.make_cards(lambda name: tmp_path_factory.mktemp(name))


def changed(card, folder, change):
    """The card of a copy whose weights (name -> tensor) went through `change`."""
    copy = folder / "model"
    shutil.copytree(card["path"], copy)
    weights = load_file(copy / "model.safetensors")
    save_file(change(weights), copy / "model.safetensors", metadata={"format": "pt"})
    return {**card, "path": str(copy)}


def without(part):
    return lambda weights: {name: w for name, w in weights.items() if part not in name}


def renamed(old, new):
    return lambda weights: {name.replace(old, new): w for name, w in weights.items()}


def as_if(part, change):
    return lambda weights: {
        name: change(w).contiguous() if part in name else w for name, w in weights.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            renamed("layers.1.self_attn.q_proj", "layers.1.self_attn.query"),
            "layers.1.self_attn.q_proj.weight",
        ),
        (without("layers.0.mlp"), "layers.0.mlp.down_proj.weight"),
        (renamed("model.", "backbone."), r"and \d+ more, but has backbone"),
        (without("lm_head"), "lm_head.weight"),
        (as_if("layers.0.mlp.up_proj", lambda w: w[:, :5]), "has other shapes for .*up_proj"),
        (
            as_if("layers.0.mlp.up_proj", lambda w: w.to(torch.int8)),
            "has I8 numbers for .*up_proj.*quantized",
        ),
    ],
    ids=["one renamed", "no MLP", "another prefix", "no head", "another shape", "whole numbers"],
)
def test_missing_weights_of_a_language_model_are_refused(language, tmp_path, change, message):
    card = changed(language, tmp_path, change)
    with pytest.raises(UserError, match=message):
        load_model(card, AutoModelForCausalLM, CPU)


def test_a_config_deeper_than_the_file_is_refused(language, tmp_path):
    card = changed(language, tmp_path, lambda weights: weights)
    path = Path(card["path"]) / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"num_hidden_layers": 3, "layer_types": None}))
    with pytest.raises(UserError, match=r"layers\.2\.input_layernorm.weight"):
        load_model(card, AutoModelForCausalLM, CPU)


def test_missing_weights_of_a_speech_model_are_refused(speech, tmp_path):
    card = changed(speech["hubert"], tmp_path, without("encoder.layers.1.feed_forward"))
    with pytest.raises(UserError, match=r"encoder\.layers\.1\.feed_forward"):
        load_model(card, AutoModel, CPU)


def test_a_file_that_is_cut_off_is_named(language, tmp_path):
    card = changed(language, tmp_path, lambda weights: weights)
    path = Path(card["path"], "model.safetensors")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=rf"^{path}: is cut off or damaged; get it again"):
        load_model(card, AutoModelForCausalLM, CPU)


def test_damaged_weights_of_a_speech_model_are_refused(speech, tmp_path):
    card = changed(speech["hubert"], tmp_path, as_if("layers.1.feed_forward", lambda w: w * torch.inf))
    with pytest.raises(UserError, match="gives NaN, so its weights are damaged"):
        SpeechEncoder(card, tiny_speech.SETTINGS)


def test_what_no_pass_reads_may_be_missing(speech, tmp_path, capsys):
    """The mask of training, and the decoder of a model whose encoder alone is used."""
    card = changed(speech["hubert"], tmp_path / "a", without("masked_spec_embed"))
    load_model(card, AutoModel, CPU)
    card = changed(speech["whisper"], tmp_path / "b", without("decoder.layers.0.fc1"))
    load_model(card, AutoModel, CPU)
    assert not capsys.readouterr().err


def test_unused_weights_are_named(speech, tmp_path, capsys):
    card = changed(
        speech["hubert"], tmp_path, lambda weights: weights | {"lm_head.weight": torch.zeros(2, 2)}
    )
    load_model(card, AutoModel, CPU)
    assert "not used: lm_head.weight" in capsys.readouterr().err
