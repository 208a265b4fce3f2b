"""Mistakes in models and their entries, each reported in one line that names it."""

import json
from dataclasses import replace

import pytest
from safetensors import SafetensorError
from tiny_models import WORDS, registry, small
from transformers import AutoModelForCausalLM

from voxscale.errors import UserError
from voxscale.models import availability, load_registry
from voxscale.models.build import build_model
from voxscale.models.hub import fetch_snapshot
from voxscale.models.loading import load_model
from voxscale.models.prepare import prepare_model


def one_line(error):
    assert "\n" not in str(error.value)
    assert ": " in str(error.value)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "opt"
    build_model(small(registry()["opt-125m"]), folder, [" ".join(WORDS)])
    return folder


def without(pattern):
    return lambda folder: [path.unlink() for path in folder.glob(pattern)]


def write(name, content):
    return lambda folder: (folder / name).write_text(content)


def lost_part(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


MODELS = {
    "no config": (without("config.json"), r"has no config\.json"),
    "no weights": (without("*.safetensors"), "lacks weights, or a part of them"),
    "a part of the weights is missing": (lost_part, "lacks weights, or a part of them"),
    "no tokenizer": (without("*token*"), "has no tokenizer"),
    "config that is no JSON": (write("config.json", "{"), "config.json: cannot be read"),
    "config of an unknown kind": (
        write("config.json", '{"model_type": "gpt-9"}'),
        "config.json: cannot be read",
    ),
    "tokenizer that is no JSON": (write("tokenizer.json", "{"), "tokenizer.json: cannot be read"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_model_folders(tmp_path, weights, kind):
    change, line = MODELS[kind]
    folder = tmp_path / "opt"
    folder.mkdir()
    for file in weights.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change(folder)
    entry = replace(small(registry()["opt-125m"]), build=None, path=str(folder))
    with pytest.raises(UserError, match=f"models.opt-125m: .*{line}") as error:
        prepare_model(entry, tmp_path / "card.json")
    one_line(error)
    assert not (tmp_path / "card.json").exists()


def test_weights_that_are_cut_off(tmp_path, weights):
    for file in weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 500 if "safetensors" in file.name else None])
    card = {"path": str(tmp_path), "model": "opt-125m"}
    with pytest.raises(UserError, match=r"safetensors: is cut off or damaged; get it again") as error:
        load_model(card, AutoModelForCausalLM, {"device": "cpu"})
    one_line(error)


def test_a_gguf_file_that_is_none(tmp_path):
    (tmp_path / "m.gguf").write_text("hello")
    entry = replace(small(registry()["llama-7b"]), build=None, path=str(tmp_path), gguf_file="m.gguf")
    with pytest.raises(UserError, match=r"models.llama-7b: .*m\.gguf: cannot be read") as error:
        prepare_model(entry, tmp_path / "card.json")
    one_line(error)


ENTRIES = {
    "a revision that YAML took for a number": ({"revision": 5}, "\\.revision: is 5; it must be text"),
    "a flag in words": ({"untrained": "perhaps"}, "\\.untrained: is 'perhaps'; it must be true or false"),
    "a build that is a flag": ({"build": True}, "\\.build: is True; it must be a mapping"),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_model_entries(kind):
    change, line = ENTRIES[kind]
    architecture = {"class": "OPTForCausalLM", "n_layers": 1, "width": 8}
    entry = {"modality": "language", "hub": "a/b", "architecture": architecture} | change
    with pytest.raises(UserError, match=f"models.mine{line}") as error:
        load_registry({"mine": entry})
    one_line(error)


def test_a_hub_id_that_is_none():
    with pytest.raises(UserError, match="hub a/b/c is not an id like owner/name") as error:
        fetch_snapshot(replace(registry()["opt-125m"], hub="a/b/c"))
    one_line(error)


def test_all_models_that_cannot_be_had_are_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    wanted = [registry()[slug] for slug in ("opt-175b", "gemma-2-2b", "tiny-opt-1", "mel", "smollm2-135m")]
    wanted += [replace(registry()["tiny-opt-2"], model_class="OPTForCausalML")]
    with pytest.raises(UserError) as error:
        availability.require_models(wanted, tmp_path)
    one_line(error)
    for slug, stated in {
        "opt-175b": "set path",
        "gemma-2-2b": "make models",
        "smollm2-135m": "not a folder",
        "tiny-opt-2": "no model class OPTForCausalML",
    }.items():
        assert f"config key models.{slug}" in str(error.value)
        assert stated in str(error.value)
    assert "tiny-opt-1" not in str(error.value)


def test_a_disk_that_is_full_leaves_no_part_of_a_model(tmp_path, monkeypatch):
    def fill(entry, folder, texts):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("voxscale.models.build.build_model", fill)
    with pytest.raises(SafetensorError):
        prepare_model(replace(small(registry()["opt-125m"]), build={}), tmp_path / "tiny.json")
    assert not list(tmp_path.iterdir())
