"""A model that takes fewer tokens than a context has is refused before the first job."""

import json
from types import SimpleNamespace

import pytest
from tiny_models import WORDS

from voxscale.errors import UserError
from voxscale.models import load_registry
from voxscale.models.build import train_tokenizer
from voxscale.study import require_contexts

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ARCHITECTURE = {"class": "LlamaForCausalLM", "n_layers": 2, "width": 16}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """One story of 100 words, and two models of 40 positions: in a folder and in the hub's cache."""
    root = tmp_path_factory.mktemp("contexts")
    there, cached = root / "there", root / "hub/models--lab--small/snapshots" / COMMIT
    (root / "hub/models--lab--small/refs").mkdir(parents=True)
    (root / "hub/models--lab--small/refs/main").write_text(COMMIT)
    for folder in (there, cached):
        train_tokenizer(["a b c"], 300).save_pretrained(folder)  # each byte is a token
        (folder / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 40}}))
        (folder / "model.safetensors").touch()
    words = "\n".join(f"{i}\t0.5\t{word}" for i, word in enumerate(WORDS * 4))
    (root / "tale.tsv").write_text(f"onset\tduration\tword\n{words}\n")
    entries = {
        "there": {"modality": "language", "path": str(there), "architecture": ARCHITECTURE},
        "cached": {"modality": "language", "hub": "lab/small", "architecture": ARCHITECTURE},
        "away": {"modality": "language", "hub": "lab/large", "architecture": ARCHITECTURE},
    }
    return SimpleNamespace(
        root=root,
        registry=load_registry(entries),
        stories=["tale", "not downloaded"],
        dataset=SimpleNamespace(config={}, transcript=lambda story: root / f"{story}.tsv"),
    )


@pytest.mark.parametrize("model", ["there", "cached"])
@pytest.mark.parametrize(
    ("context", "line"),
    [
        (
            {"unit": "words", "max_context": 39, "restart_at": 12},
            "{model}.context: {model} has 40 positions, and a context of 39 words .* at least 43 tokens; set",
        ),
        (
            {"unit": "words", "max_context": 20, "restart_at": 10},
            r"{model}: story tale: 20 words make \d+ tokens, more than the 40 that the model takes; lower",
        ),
        ({"unit": "tokens", "max_context": 39, "restart_at": 20}, None),
    ],
)
def test_tokens_are_counted_where_the_tokenizer_is_at_hand(study, monkeypatch, model, context, line):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(study.root / "hub"))
    study.config = {"features": {"text": context}}
    if line is None:
        return require_contexts(study, [model, "away"])
    with pytest.raises(UserError, match=line.format(model=model)):
        require_contexts(study, [model, "away"])
