"""A tokenizer splits text as its file says, also where transformers would build it by other rules."""

import json

import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from voxscale.models.opening import open_tokenizer, splits_as_its_file

TEXT = "they don't know that it's the people's house"


@pytest.fixture
def folder(tmp_path):
    """A tokenizer that keeps `don't` whole, under a class of transformers that cuts it at the apostrophe."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    own.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    own.train_from_iterator([TEXT] * 9, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    own.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    return tmp_path


def test_the_rules_of_the_file_are_taken_and_said(folder, capsys):
    replaced = transformers.AutoTokenizer.from_pretrained(folder)
    assert not splits_as_its_file(replaced, folder, TEXT)
    tokenizer = open_tokenizer(folder)
    assert "tokenizer.json: transformers would split text otherwise" in capsys.readouterr().err
    wanted = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT).tokens
    assert tokenizer.convert_ids_to_tokens(tokenizer(TEXT)["input_ids"]) == wanted
    assert "Ġdon't" in wanted


def test_a_tokenizer_that_is_its_files_is_left_alone(folder, capsys):
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    assert splits_as_its_file(open_tokenizer(folder), folder, TEXT)
    assert capsys.readouterr().err == ""
