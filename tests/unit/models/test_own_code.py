"""A model folder that brings Python files of its own: they are never run, and nobody is asked."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
import tiny_speech

from voxscale.errors import UserError
from voxscale.features.language_model import LanguageModel
from voxscale.features.speech_encoder import SpeechEncoder
from voxscale.models.prepare import prepare_model

CODE = """
from pathlib import Path
from transformers import {base}
Path({mark!r}).touch()
class Own({base}):
    model_type = "own"
"""
PLACES = {  # file of the folder -> what of it names a class of the folder's own
    "config.json": {"AutoConfig": "own.Own", "AutoModel": "own.Own", "AutoModelForCausalLM": "own.Own"},
    "tokenizer_config.json": {"AutoTokenizer": ["own.Own", None]},
    "preprocessor_config.json": {"AutoFeatureExtractor": "own.Own"},
}


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """The file that the folder's code would leave; whoever asks at the terminal is answered yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 10))
    return tmp_path / "code-was-run"


def give_code(folder, mark, file, keep_type):
    """Put a class of its own into a model folder."""
    path = Path(folder) / file
    content = json.loads(path.read_text()) | {"auto_map": PLACES[file]}
    if not keep_type:
        content |= (
            {"model_type": "own", "architectures": ["Own"]}
            if file == "config.json"
            else {
                "tokenizer_class": "Own",
                "feature_extractor_type": "Own",
            }
        )
    path.write_text(json.dumps(content))
    (Path(folder) / "own.py").write_text(CODE.format(base="PretrainedConfig", mark=str(mark)))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_language_model_with_code_of_its_own_is_refused(tmp_path, mark, file):
    entry = tiny_models.language_architectures()["LlamaForCausalLM"]
    card = tiny_models.make_card(entry, tmp_path / "model")
    give_code(tmp_path / "model", mark, file, keep_type=False)
    own = replace(entry, build=None, path=str(tmp_path / "model"))
    with pytest.raises(UserError, match="never run"):
        prepare_model(own, tmp_path / "card.json")
    with pytest.raises(UserError, match="never run"):
        LanguageModel(card, tiny_models.SETTINGS)
    assert not mark.exists()


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_a_speech_model_with_code_of_its_own_is_refused(tmp_path, mark, file):
    card = tiny_speech.make_cards(lambda name: tmp_path / name)["hubert"]
    give_code(card["path"], mark, file, keep_type=False)
    with pytest.raises(UserError, match="never run"):
        SpeechEncoder(card, tiny_speech.SETTINGS)
    assert not mark.exists()


def test_code_beside_a_model_that_transformers_knows_is_left_alone(tmp_path, mark):
    entry = tiny_models.language_architectures()["LlamaForCausalLM"]
    card = tiny_models.make_card(entry, tmp_path / "model")
    give_code(tmp_path / "model", mark, "config.json", keep_type=True)
    LanguageModel(card, tiny_models.SETTINGS)
    assert not mark.exists()
