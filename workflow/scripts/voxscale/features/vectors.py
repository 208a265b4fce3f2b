"""Vectors of words from a text file, `word v1 v2 ...` in each line, as of GloVe, word2vec and fastText.

A first line `n d` (word2vec, fastText) is a header. Files have several gigabytes: one is read once, line by
line, and only the vectors of the words that are asked for are kept. The vectors of LeBel et al. (ds003020's
english1000sm.hf5) are an HDF5 file.
"""

import contextlib
import gzip
import statistics
import string
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import h5py
import numpy as np

from voxscale.errors import naming
from voxscale.io import reading, require

_LOOKED_AT = 50  # lines whose fields are counted: some tokens of GloVe contain blanks
_LONGEST = 1 << 20  # bytes of a line
_NO_TEXT = (
    "is not text with a word and its vector in each line, between blanks; if it is a binary file of word2vec "
    "or fastText, write it as text (gensim: save_word2vec_format)"
)


class Layout(NamedTuple):
    """Of a file of vectors: numbers in a line, and what its header says of its words (None: no header)."""

    width: int
    words: int | None


@contextlib.contextmanager
def _lines(path: str | Path) -> Iterator[BinaryIO]:
    path = require(path, "vector")
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK":
        raise ValueError("is a zip archive; unpack it, and name the file of vectors")
    with gzip.open(path) if start == b"\x1f\x8b" else path.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        yield file


def _layout(lines: BinaryIO) -> tuple[Layout, int]:
    """The layout, and where the first vector starts."""
    start, words = lines.tell(), None
    # ASSUME: split at ASCII blanks only, since tokens may contain others, such as no-break spaces.
    first = lines.readline(_LONGEST).split()
    if len(first) == 2 and all(field.isdigit() for field in first):
        words, width, start = int(first[0]), int(first[1]), lines.tell()
        fields = [lines.readline(_LONGEST).split()]
    else:
        more = (lines.readline(_LONGEST).split() for _ in range(_LOOKED_AT))
        fields = [first, *(found for found in more if found)]
        width = statistics.mode(map(len, fields)) - 1
    try:
        if width < 1 or not np.isfinite([float(value) for value in fields[0][-width:]]).all():
            raise ValueError
        if len(fields[0]) < width + 1:
            raise ValueError
    except ValueError:
        raise ValueError(_NO_TEXT) from None
    return Layout(width, words), start


def vector_layout(path: str | Path) -> Layout:
    """Read the layout of a file of vectors from its first lines.

    Raises:
        UserError: it is missing, or none.
    """
    with reading(path, "get it again", problem="cannot be read"), naming(path):
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                words, data = _semantic_model(file)
            return Layout(data.shape[0], len(words))
        with _lines(path) as lines:
            return _layout(lines)[0]


def read_vectors(path: str | Path, words: Collection[str]) -> dict[str, np.ndarray]:
    """Vectors of those of some words that a file has; of a word that comes twice the first.

    Returns:
        word -> (width,) float32.

    Raises:
        UserError: the file is missing, cut off, or no file of vectors.
    """
    with reading(path, "get it again", problem="cannot be read"), naming(path):
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                vocabulary, data = _semantic_model(file)
                at = {word: i for i, word in reversed(list(enumerate(vocabulary))) if word in words}
            return {word: data[:, i].astype(np.float32) for word, i in at.items()}
        with _lines(path) as lines:
            return _read_lines(lines, {word.encode() for word in words})


def _semantic_model(file: h5py.File) -> tuple[list[str], np.ndarray]:
    """Words, and their vectors (width, words), of a file like ds003020's english1000sm.hf5."""
    if "vocab" not in file or "data" not in file:
        raise ValueError(
            f"holds {', '.join(file)}; an HDF5 file of vectors has data (width, words) and vocab"
        )
    words, data = [word.decode() for word in file["vocab"][()]], file["data"][()]
    if data.ndim != 2 or data.shape[1] != len(words) or not np.isfinite(data).all():
        raise ValueError(
            f"data has shape {data.shape}; it must be finite numbers, (width, {len(words)} words)"
        )
    return words, data


def _read_lines(lines: BinaryIO, wanted: Collection[bytes]) -> dict[str, np.ndarray]:
    (width, stated), start = _layout(lines)
    lines.seek(start)
    found: dict[bytes, np.ndarray] = {}
    number, last = 0, b""
    for line in lines:
        if not (token := line.split(None, 1)[:1]):
            continue  # an empty line
        number, last = number + 1, line
        if token[0] in wanted and token[0] not in found:
            parts = line.rsplit(None, width)
            if parts[0] == token[0]:  # else a token with blanks, which begins like a word
                found[token[0]] = _vector(parts, width)
    if (stated is not None and number < stated) or len(last.split()) <= width:
        ends = f" of the {stated:,} that its header states" if stated is not None else ""
        raise ValueError(f"ends after {number:,} words{ends}: it is cut off; get it again")
    return {word.decode(): vector for word, vector in found.items()}


def _vector(parts: list[bytes], width: int) -> np.ndarray:
    try:
        vector = np.array([float(value) for value in parts[1:]], np.float32)
    except ValueError:
        vector = np.array([])
    if len(vector) != width or not np.isfinite(vector).all():
        word = parts[0].decode(errors="replace")
        raise ValueError(f"the line of {word} does not have {width} numbers; get it again")
    return vector


def spellings(word: str) -> list[str]:
    """How a transcript's word may be written in a file of vectors, the likeliest first.

    As it is; in lower case; both without punctuation around them; apostrophes are straight.
    """
    word = unicodedata.normalize("NFC", word).replace("\u2019", "'")
    bare = word.strip(string.punctuation + "\u2026\u201c\u201d\u00ab\u00bb\u2014\u2013\u00bf\u00a1") or word
    return list(dict.fromkeys([word, word.lower(), bare, bare.lower()]))


def vectors_of(words: list[str], vectors: dict[str, np.ndarray], width: int) -> tuple[np.ndarray, list[str]]:
    """Vector of each word, zeros for one that has none, and the words without.

    ASSUME: an unknown word has zeros, as in the field (Huth et al. 2016, doi 10.1038/nature17637), so that it
    adds nothing at its time.

    Returns:
        (words, width) float32, and the words that have none, each as often as it occurs.
    """
    values, unknown = np.zeros((len(words), width), np.float32), []
    for row, word in enumerate(words):
        form = next((form for form in spellings(word) if form in vectors), None)
        if form is None:
            unknown.append(word)
        else:
            values[row] = vectors[form]
    return values, unknown
