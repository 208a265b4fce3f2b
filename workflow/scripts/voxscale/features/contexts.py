"""Which words go into which forward pass, and which token stands for which word.

The context of a word is the words before it, itself included. It grows word by word to `max_context`; the
next word restarts it at `restart_at`. One pass over the words from a restart to the next covers every word
between, because in a causal model a token never sees what follows: two passes per text, not one per word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class WordSpan:
    """One pass: the words [start, stop) go in, the states of [first, stop) are kept."""

    start: int
    first: int
    stop: int


def restart_windows(sizes: Sequence[int], max_context: int, restart_at: int) -> list[WordSpan]:
    """Cut a story into the passes between restarts.

    Args:
        sizes: (n,) what each word counts: 1 in a context of words, its tokens in a context of tokens.
        max_context: largest context; the word that would pass it restarts the context.
        restart_at: context right after a restart, at most; below `max_context`.

    Returns:
        windows that keep each word exactly once, in order. A word larger than `restart_at` by itself
        restarts with no context but itself.

    Raises:
        ValueError: one word alone is larger than `max_context`.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])  # (n + 1,)
    windows, start, first, n = [], 0, 0, len(sizes)
    while first < n:
        stop = int(np.searchsorted(ends, ends[start] + max_context, side="right")) - 1
        if stop <= first:
            raise ValueError(
                f"word {first} alone is longer than max_context {max_context}; raise max_context"
            )
        windows.append(WordSpan(start, first, stop))
        # The next window's first kept word is `stop`; go back while the context stays within restart_at.
        start = min(int(np.searchsorted(ends, ends[min(stop + 1, n)] - restart_at, side="left")), stop)
        first = stop
    return windows


@dataclass(frozen=True)
class Pass:
    """Tokens of one window.

    Attributes:
        ids: (T,) token ids, the tokenizer's own special tokens included.
        at: (k,) position of the last token of each kept word that owns one, ascending.
        scored: (s,) positions of the tokens whose surprisal counts: those of the kept words' text.
    """

    ids: np.ndarray
    at: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True)
class Passage:
    """A story ready for the model.

    Attributes:
        passes: one per restart window.
        owner: (n words,) which kept state, counted over all passes, is that of each word; -1 for none.
        characters: characters of the text whose surprisal is scored.
    """

    passes: list[Pass]
    owner: np.ndarray
    characters: int

    @property
    def n_states(self) -> int:
        """States that the passes keep."""
        return sum(len(one.at) for one in self.passes)


@dataclass(frozen=True)
class Alignment:
    """Tokens of one text against its words.

    Attributes:
        last: (n words,) position of each word's last token; -1 for a word that owns none.
        ends: (T,) where each token's characters end in the text; 0 for a token that covers none.
        in_text: (T,) whether it stands for text; False for tokens that the tokenizer added.
    """

    last: np.ndarray
    ends: np.ndarray
    in_text: np.ndarray


def _align(
    words: Sequence[str], offsets: Sequence[tuple[int, int]], special: Sequence[int], start: int = 0
) -> Alignment:
    """Find each word's last token by the tokenizer's character offsets, and audit them.

    Args:
        words: words without blanks around them, none empty; the text joins them by single blanks.
        offsets: (T, 2) characters that each token covers.
        special: (T,) 1 for tokens that the tokenizer added to the text.
        start: number of the first word, for errors.

    Raises:
        ValueError: letters or digits are in no token, or a token covers parts of two words.
    """
    text = " ".join(words)
    in_text = ~np.asarray(special, bool)
    spans = np.where(in_text[:, None], np.asarray(offsets).reshape(-1, 2), 0)
    lengths = np.array([len(word) for word in words])
    word_ends = np.cumsum(lengths + 1) - 1
    word_starts = word_ends - lengths
    covers = spans[:, 1] > spans[:, 0]
    # The first word that ends behind the token's start, and the last that starts before its end: (T,)
    low = np.searchsorted(word_ends, spans[:, 0], side="right")
    high = np.searchsorted(word_starts, spans[:, 1], side="left") - 1
    for token in np.flatnonzero(covers & (high > low))[:1]:
        pair = " ".join(words[low[token] : high[token] + 1])
        raise ValueError(f"one token covers the words {pair!r}; use a model whose tokens end with words")
    last = np.full(len(words), -1)
    owned = np.flatnonzero(covers & (high == low))
    np.maximum.at(last, low[owned], owned)
    depth = np.zeros(len(text) + 1, int)
    np.add.at(depth, spans[covers, 0], 1)
    np.add.at(depth, spans[covers, 1], -1)
    for place in np.flatnonzero(np.cumsum(depth[:-1]) == 0):
        # ASSUME: a tokenizer may drop blanks, marks and control characters, but never a letter or a digit.
        if text[place].isalnum():
            word = int(np.searchsorted(word_ends, place, side="right"))
            raise ValueError(
                f"word {start + word} ({words[word]!r}) lost {text[place]!r} in the tokenizer; use another"
            )
    if (np.diff(last[last >= 0]) <= 0).any():
        raise ValueError("the tokenizer's offsets are not in reading order; use another model")
    return Alignment(last, np.where(covers, spans[:, 1], 0), in_text)


def _encode(tokenizer: Any, texts: list[str]) -> Any:
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError("the model has no fast tokenizer, so no character offsets; use another model")
    return tokenizer(
        texts,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        truncation=False,
        verbose=False,
    )


def make_passage(
    tokenizer: Any,
    words: Sequence[str],
    unit: str = "words",
    max_context: int = 512,
    restart_at: int = 256,
    limit: int | None = None,
) -> Passage:
    """Tokenise a story window by window and align its words.

    A word with no characters is not part of the text. It, and a word whose characters the tokenizer drops
    altogether, has the state of the word before it, since the model has read nothing new; at the very start
    of a story it has none.

    Args:
        tokenizer: a fast tokenizer; it may add special tokens of its own.
        unit: what the two context lengths count, `words` or `tokens` (special tokens not counted). In
            tokens, too, a context starts at a word.
        limit: maximum number of tokens in one pass of the model.

    Raises:
        ValueError: the story has no words, a window is longer than `limit`, or tokens and words do not match.
    """
    stripped = [word.strip() for word in words]
    spoken = [i for i, word in enumerate(stripped) if word]
    if not spoken:
        raise ValueError("has no words; check its transcript, or leave the story out")
    texts = [stripped[i] for i in spoken]
    sizes = [1] * len(texts)
    if unit == "tokens":
        whole = _encode(tokenizer, [" ".join(texts)])
        alignment = _align(texts, whole["offset_mapping"][0], whole["special_tokens_mask"][0])
        read = np.maximum.accumulate(alignment.last)
        first_token = int(np.flatnonzero(alignment.ends > 0)[0])
        sizes = np.diff(np.concatenate([[first_token - 1], np.maximum(read, first_token - 1)])).tolist()
    windows = restart_windows(sizes, max_context, restart_at)
    encoded = _encode(tokenizer, [" ".join(texts[w.start : w.stop]) for w in windows])
    passes, kept = [], np.full(len(texts), -1)
    n_states = characters = 0
    for i, window in enumerate(windows):
        ids = np.asarray(encoded["input_ids"][i])
        if limit is not None and len(ids) > limit:
            raise ValueError(
                f"{window.stop - window.start} words make {len(ids)} tokens, more than the {limit} "
                "that the model takes; lower features.text.max_context, "
                "or set context in the model's entry"
            )
        offsets, special = encoded["offset_mapping"][i], encoded["special_tokens_mask"][i]
        alignment = _align(texts[window.start : window.stop], offsets, special, spoken[window.start])
        last = alignment.last[window.first - window.start :]
        at = last[last >= 0]
        kept[np.arange(window.first, window.stop)[last >= 0]] = n_states + np.arange(len(at))
        n_states += len(at)
        known = len(" ".join(texts[window.start : window.first]))  # characters scored in earlier passes
        characters += len(" ".join(texts[window.start : window.stop])) - known
        # By place, not by characters: a blank may be a token of its own, with its offsets trimmed away.
        read = np.flatnonzero((alignment.ends > 0) & (alignment.ends <= known))
        scored = np.flatnonzero(alignment.in_text)
        scored = scored[scored > (read[-1] if len(read) else -1)]
        if len(scored) and scored[0] == 0:
            # ASSUME: a token with none before it has no surprisal; it and its characters are left out.
            characters -= int(alignment.ends[0])
            scored = scored[1:]
        passes.append(Pass(ids, at, scored))
    owner = np.full(len(words), -1)
    owner[spoken] = kept
    # A word that owns no token takes the state before it; states are numbered in reading order.
    return Passage(passes, np.maximum.accumulate(owner), characters)
