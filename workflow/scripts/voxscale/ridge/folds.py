"""Which training TRs each fold of the cross-validation holds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxscale.ridge.problem import Fold


def _fold(held: np.ndarray, n: int) -> Fold:
    inside = np.zeros(n, bool)
    inside[held] = True
    return Fold(np.flatnonzero(~inside), np.flatnonzero(inside))


def story_folds(lengths: Sequence[int], n_folds: int) -> list[Fold]:
    """Hold out whole stories, so that no held-out TR has a neighbour in training.

    Stories go, longest first, to the fold with the fewest TRs so far. With fewer stories than folds each
    story is a fold. ASSUME: a single story is held out in contiguous parts, the only case in which
    neighbouring TRs are on both sides.

    Args:
        lengths: TRs of each story.
    """
    n = int(sum(lengths))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    if len(lengths) == 1:
        if n < 2:
            raise ValueError("one training TR cannot be cross-validated; add stories")
        return [_fold(part, n) for part in np.array_split(np.arange(n), min(n_folds, n))]
    groups: list[list[int]] = [[] for _ in range(min(n_folds, len(lengths)))]
    sizes = np.zeros(len(groups), int)
    for story in np.argsort(-np.asarray(lengths), kind="stable"):
        lightest = int(np.argmin(sizes))
        groups[lightest].append(int(story))
        sizes[lightest] += lengths[story]
    return [
        _fold(np.concatenate([np.arange(starts[s], starts[s + 1]) for s in group]), n) for group in groups
    ]


def chunk_folds(
    n: int, n_folds: int, chunk_trs: int, held_out_share: float, seed: int | Sequence[int]
) -> list[Fold]:
    """Hold out random chunks of consecutive TRs, drawn for each fold.

    ASSUME: as published, chunks may lie across two stories, folds may overlap, and the last `n mod chunk_trs`
    TRs are never held out; unlike there, the draw is seeded.

    Raises:
        ValueError: there are not two chunks.
    """
    n_chunks = n // chunk_trs
    if n_chunks < 2:
        raise ValueError(f"{n} training TRs hold {n_chunks} chunks of {chunk_trs}; lower chunk_trs")
    n_held = min(max(round(held_out_share * n_chunks), 1), n_chunks - 1)
    random = np.random.default_rng(seed)
    chunks = np.arange(n_chunks * chunk_trs).reshape(n_chunks, chunk_trs)
    return [_fold(chunks[random.permutation(n_chunks)[:n_held]].ravel(), n) for _ in range(n_folds)]


def make_folds(lengths: Sequence[int], settings: Mapping[str, Any], seed: int | Sequence[int]) -> list[Fold]:
    """Folds as `encoding.folds` of the config asks for them."""
    if settings["kind"] == "stories":
        return story_folds(lengths, settings["n"])
    share = settings.get("held_out_share", 1 / settings["n"])
    return chunk_folds(int(sum(lengths)), settings["n"], settings["chunk_trs"], share, seed)
