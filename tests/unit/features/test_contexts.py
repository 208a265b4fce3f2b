"""Contexts against the growing rule written out, and word alignment against truncated texts."""

import functools
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from voxscale.features.contexts import make_passage, restart_windows
from voxscale.models.build import train_tokenizer

TEXT = (  # noqa: SIM905
    "well i don't know , i said -- it's the y'all's o'clock ... naïve café's twenty-one 21st \U0001f600 "
    "antidisestablishmentarianism in New-York ¿qué? мама мыла раму 日本語 end . ' \" a I"
).split()


@pytest.mark.parametrize("seed", range(20))
def test_windows_follow_the_growing_rule(seed):
    rng = np.random.default_rng(seed)
    restart_at = int(rng.integers(1, 12))
    max_context = restart_at + int(rng.integers(1, 12))
    sizes = rng.integers(1, 4, 70) if seed % 2 else np.ones(70, int)
    sizes = np.minimum(sizes, max_context)
    expected, start = [], 0
    for word in range(len(sizes)):
        if sizes[start : word + 1].sum() > max_context:
            start = word
            while start > 0 and sizes[start - 1 : word + 1].sum() <= restart_at:
                start -= 1
        expected.append(start)
    found = np.full(len(sizes), -1)
    for window in restart_windows(sizes, max_context, restart_at):
        assert (found[window.first : window.stop] == -1).all()
        found[window.first : window.stop] = window.start
    np.testing.assert_array_equal(found, expected)


def test_a_passed_text_costs_about_two_tokens_a_token():
    windows = restart_windows([1] * 3000, 512, 256)
    assert windows[0].stop == 512
    assert sum(w.stop - w.start for w in windows) < 2.05 * 3000


def byte_level(bos, trim=True):
    tokenizer = train_tokenizer([" ".join(TEXT)] * 3, 330, bos)
    if trim and not bos:
        tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def sentencepiece_like(prepend):
    """As LLaMA and Gemma do it: blanks are letters of the vocabulary, unknown characters become bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    steps = [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), *steps] if prepend else steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁[^▁]*|[^▁]+"), "isolated")
    latin = [w for w in TEXT if w.isascii()]
    special = ["<unk>", "<s>", *(f"<0x{b:02X}>" for b in range(256))]
    tokenizer.train_from_iterator(
        [" ".join(latin)], trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    )
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.ByteFallback()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>")


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        [" ".join(TEXT)] * 5,
        trainers.UnigramTrainer(
            vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@functools.cache
def sentencepiece_file(kind, **settings):
    """A tokenizer as AutoTokenizer reads it from sentencepiece's own `tokenizer.model`."""
    import sentencepiece

    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(TEXT)] * 20),
        model_writer=made,
        model_type=kind,
        vocab_size=330,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokenizer.model").write_bytes(made.getvalue())
        (folder / "config.json").write_text('{"model_type": "llama"}')
        if settings:
            (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return AutoTokenizer.from_pretrained(folder)


TOKENIZERS = {
    "bytes, no BOS": lambda: byte_level(False),
    "bytes, untrimmed offsets": lambda: byte_level(False, trim=False),
    "bytes, BOS": lambda: byte_level(True),
    "sentencepiece BPE, dummy prefix, BOS": lambda: sentencepiece_like(True),
    "sentencepiece BPE, BOS": lambda: sentencepiece_like(False),
    "unigram": unigram,
    "sentencepiece file alone": lambda: sentencepiece_file("bpe"),
    "sentencepiece file of LLaMA": lambda: sentencepiece_file("bpe", tokenizer_class="LlamaTokenizer"),
    "sentencepiece file, unigram": lambda: sentencepiece_file("unigram", tokenizer_class="LlamaTokenizer"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_last_token_of_each_word_is_where_the_truncated_text_ends(name, unit):
    tokenizer = TOKENIZERS[name]()
    longest = max(len(tokenizer(w, add_special_tokens=False)["input_ids"]) for w in TEXT)
    settings = {"unit": unit, "max_context": 9 if unit == "words" else longest + 20}
    passage = make_passage(tokenizer, TEXT, restart_at=4, **settings)
    assert len(passage.passes) > 2
    states = [one.ids[: at + 1].tolist() for one in passage.passes for at in one.at]
    assert len(states) == len(TEXT)
    for word in range(len(TEXT)):
        prefix = states[passage.owner[word]]
        starts = [
            k for k in range(word + 1) if tokenizer(" ".join(TEXT[k : word + 1]))["input_ids"] == prefix
        ]
        assert starts, TEXT[word]
    if unit == "words":
        scored = [int(one.ids[t]) for one in passage.passes for t in one.scored]
        pieces = tokenizer(" ".join(TEXT), add_special_tokens=False)["input_ids"]
        assert scored in (pieces, pieces[1:])  # one less where nothing stands before the first token


def test_words_without_characters_or_tokens_take_the_state_before():
    tokenizer = byte_level(True)
    words = ["", "one", "", " ", "two", "three"]
    passage = make_passage(tokenizer, words)
    assert passage.owner.tolist() == [-1, 0, 0, 0, 1, 2]
    (only,) = passage.passes
    assert only.ids.tolist() == tokenizer("one two three")["input_ids"]
    dropping = byte_level(True)
    dropping.backend_tokenizer.normalizer = normalizers.Replace("­", "")
    passage = make_passage(dropping, ["one", "­", "two"])
    assert passage.owner.tolist() == [0, 0, 1]


def test_characters_are_those_of_the_scored_text():
    words = TEXT * 3
    with_bos = make_passage(byte_level(True), words, max_context=11, restart_at=5)
    assert with_bos.characters == len(" ".join(words))
    without = make_passage(byte_level(False), words, max_context=11, restart_at=5)
    first = byte_level(False)(words[0], return_offsets_mapping=True)["offset_mapping"][0][1]
    assert without.characters == len(" ".join(words)) - first


def test_a_window_beyond_the_models_limit_is_named():
    with pytest.raises(ValueError, match=r"9 words make \d+ tokens, more than the 5"):
        make_passage(byte_level(True), TEXT, max_context=9, restart_at=4, limit=5)
    with pytest.raises(ValueError, match=r"word .* longer than max_context 2"):
        make_passage(byte_level(True), TEXT, unit="tokens", max_context=2, restart_at=1)


def test_misalignment_fails_loudly():
    joining = Tokenizer(models.WordLevel({"one two": 0, "?": 1}, unk_token="?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=joining, unk_token="?")
    with pytest.raises(ValueError, match=r"one token covers the words 'one two'"):
        make_passage(tokenizer, ["one", "two"])
    losing = byte_level(True)
    losing.backend_tokenizer.normalizer = normalizers.Replace(Regex("[0-9]"), "")
    with pytest.raises(ValueError, match=r"word 1 \('21st'\) lost '2'"):
        make_passage(losing, ["the", "21st"])
    with pytest.raises(ValueError, match="has no words"):
        make_passage(byte_level(True), ["", " "])

    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="no fast tokenizer"):
        make_passage(Slow(), ["one"])
