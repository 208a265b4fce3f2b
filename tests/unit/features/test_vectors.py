"""Word vectors from text files as they are published: GloVe, word2vec, fastText."""

import gzip
import json

import h5py
import numpy as np
import pytest

from voxscale.errors import UserError
from voxscale.features import feature_attrs, read_features
from voxscale.features.own import OwnSources, extract_own
from voxscale.features.vectors import Layout, read_vectors, spellings, vector_layout
from voxscale.io import tables

GLOVE = """the 0.5 -1 2e-1
. . . 9 9 9
at name@domain.com 8 8 8
at 1 1 1
caf\u00e9 2 2 2
new\u00a0york 3 3 3
the 7 7 7
i 4 4 4
"""
WORDS = {"the", "at", "caf\u00e9", "i", "york", "name@domain.com", "."}
FOUND = {"the": [0.5, -1, 0.2], "at": [1, 1, 1], "caf\u00e9": [2, 2, 2], "i": [4, 4, 4]}
FORMS = {  # how the same vectors may be written, and their layout
    "glove": (GLOVE.encode(), Layout(3, None)),
    "word2vec": (b"8 3\n" + GLOVE.replace("\n", " \n").encode(), Layout(3, 8)),
    "empty lines": (GLOVE.encode() + b"\n\n", Layout(3, None)),
    "dos": (GLOVE.replace("\n", "\r\n").encode(), Layout(3, None)),
    "bom": (b"\xef\xbb\xbf8 3\n" + GLOVE.encode(), Layout(3, 8)),
    "gz": (gzip.compress(GLOVE.encode()), Layout(3, None)),
    "tabs": (b"the\t0.5\t-1\t2e-1\nat\t1\t1\t1\ncaf\xc3\xa9\t2\t2\t2\ni\t4\t4\t4", Layout(3, None)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_vectors_of_the_words_that_are_asked_for(tmp_path, form):
    content, layout = FORMS[form]
    (tmp_path / "vectors").write_bytes(content)
    assert vector_layout(tmp_path / "vectors") == layout
    found = read_vectors(tmp_path / "vectors", WORDS)
    assert found.keys() == FOUND.keys()
    for word, vector in FOUND.items():
        np.testing.assert_array_equal(found[word], np.float32(vector))


def test_the_vectors_of_ds003020_are_read(tmp_path):
    with h5py.File(tmp_path / "english1000sm.hf5", "w") as file:
        file["data"] = np.arange(8.0).reshape(2, 4)  # (width, words)
        file["vocab"] = np.array([b"the", b"at", b"the", b"caf\xc3\xa9"])
    assert vector_layout(tmp_path / "english1000sm.hf5") == Layout(2, 4)
    found = read_vectors(tmp_path / "english1000sm.hf5", WORDS)
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "the": [0, 4],
        "at": [1, 5],
        "caf\u00e9": [3, 7],
    }


REFUSED = {
    "is not text with a word and its vector": b"3000000 300\n</s> \x00\x01\x02\x03",
    "is not text with": b"\x93\x00\n" * 9,
    "is not text with a word": b"just some prose\nof words\n",
    "ends after 8 words of the 9 that its header states: it is cut off": b"9 3\n" + GLOVE.encode(),
    "ends after 7 words: it is cut off": GLOVE.rpartition("\ni")[0].encode()[:-4],
    "cannot be read .*; get it again": gzip.compress(GLOVE.encode())[:-20],
    "is a zip archive; unpack it": b"PK\x03\x04",
    "the line of at does not have 3 numbers": GLOVE.replace("at 1 1 1", "at 1 x 1").encode(),
}


@pytest.mark.parametrize("line", REFUSED)
def test_other_files_are_named_with_what_is_wrong(tmp_path, line):
    (tmp_path / "vectors").write_bytes(REFUSED[line])
    with pytest.raises(UserError, match=f"vectors: .*{line}"):
        read_vectors(tmp_path / "vectors", WORDS)


def test_a_word_may_be_written_otherwise_than_in_the_transcript():
    assert spellings("Don\u2019t,") == ["Don't,", "don't,", "Don't", "don't"]
    assert spellings("cafe\u0301") == ["caf\u00e9"]
    assert spellings("...") == ["..."]


def test_unknown_words_are_zeros_and_are_said(tmp_path, capsys):
    (tmp_path / "glove.txt").write_text(GLOVE)
    said = ["The,", "zyx", "at", "zyx", "I"] * 4
    times = 1.0 + np.arange(20)
    rows = {"story": ["a"] * 20, "index": np.arange(20), "word": said, "onset_s": times, "offset_s": times}
    tables.write("words", rows, tmp_path / "words.parquet")
    mids = np.arange(-10, 40, 0.25)
    clock = {"story": ["a"] * len(mids), "row": np.arange(len(mids)), "onset_s": mids, "mid_s": mids}
    tables.write("clock", clock | {"in_response": [True] * len(mids)}, tmp_path / "clock.parquet")
    card = {"model": "glove", "modality": "embeddings", "at": None, "width": 3, "layers": [0]}
    card["path"] = str(tmp_path / "glove.txt")
    (tmp_path / "card.json").write_text(json.dumps(card))
    sources = OwnSources(tmp_path / "clock.parquet", tmp_path / "words.parquet", {None: card["path"]})
    index = tmp_path / "glove.h5"
    settings = {"on_disk": "float32"}
    extract_own(tmp_path / "card.json", {"a": sources}, {card["path"]: "1"}, index, tmp_path, settings)
    # At its own time a word's row is its vector: other words are whole multiples of the TR away.
    at_words = read_features(index, "a", 0)[np.searchsorted(mids, times)]
    vectors = [FOUND["the"], [0, 0, 0], FOUND["at"], [0, 0, 0], FOUND["i"]] * 4
    np.testing.assert_allclose(at_words, vectors, atol=1e-5)
    assert feature_attrs(index, "a")["unknown"] == 0.4
    warning = capsys.readouterr().err
    assert "glove: words without a vector: a 40.0%" in warning
    assert "more than 10% of the words have no vector" in warning
    assert "1 of 1 stories, most in a (40%, such as zyx)" in warning
