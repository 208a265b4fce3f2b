"""Blocks of test TRs, and the sums over each block that any score can be computed from.

For each block of 10 test TRs: the sums of p, y, p², y² and p·y (p predicted, y observed). Sums add up, so any
set of blocks, each counted any number of times, has its correlation at once: a resampled test set, a cut of
the first seconds, a held-out half. Nothing is predicted or read again.

Several test stories have one correlation, within stories: p and y are centred in each story, then correlated
over all TRs. A run's own mean comes from the scanner and from preprocessing, and has no part in a score.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TimeBlocks:
    """Blocks of test TRs.

    Args:
        n: (blocks,) TRs in each block.
        story: (blocks,) its test story.
        start_tr: (blocks,) first TR of the block in its story.
        crossed: whether stories were held out in turn, each predicted by a fit to the others.
    """

    n: np.ndarray
    story: np.ndarray
    start_tr: np.ndarray
    crossed: bool = False

    @property
    def inflation(self) -> int:
        """How many times the variance that the blocks show a score varies by chance.

        Chance agreement of two stories counts twice if each is predicted from the other. Twice is exact where
        predictions consist of noise and alphas are large; it is less otherwise, never more.
        """
        return 2 if self.crossed else 1

    def take(self, kept: np.ndarray) -> TimeBlocks:
        """Some of the blocks: kept is (blocks,) bool."""
        return TimeBlocks(self.n[kept], self.story[kept], self.start_tr[kept], self.crossed)

    def kept(self, cut_trs: float) -> np.ndarray:
        """(blocks,) bool: blocks with no TR among the first `cut_trs` of their story."""
        return self.start_tr >= cut_trs

    def same(self, other: TimeBlocks) -> bool:
        """Whether both are blocks of the same TRs."""
        return self.crossed == other.crossed and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("n", "story", "start_tr")
        )


def blocks_of(lengths: Mapping[str, int], block: int, skip: int = 0, crossed: bool = False) -> TimeBlocks:
    """Cut test stories into blocks, none across two stories.

    A new block starts after the first `skip` TRs of a story, which are not scored: each block is scored
    wholly or not at all. The last block before that TR, and the last of a story, may be shorter.
    """
    found = []
    for story, length in lengths.items():
        edges = [*range(0, min(skip, length), block), *range(min(skip, length), length, block), length]
        found += [(end - start, story, start) for start, end in itertools.pairwise(edges)]
    n, story, start = zip(*found, strict=True)
    return TimeBlocks(np.array(n), np.array(story), np.array(start), crossed)


def skipped_trs(settings: Mapping[str, Any]) -> int:
    """TRs at the start of each test story that are not scored: all that begin in its first `skip_s`."""
    return math.ceil(settings["skip_s"] / settings["tr_s"] - 1e-9)


def require_blocks(blocks: TimeBlocks, cut_trs: float) -> int:
    """Number of blocks that are scored: at least two, so that they can be resampled.

    Raises:
        ValueError: there are fewer.
    """
    n_blocks = int(blocks.kept(cut_trs).sum())
    if n_blocks < 2:
        raise ValueError(
            f"the test stories have {n_blocks} blocks of TRs after the skipped seconds, and at least 2 are "
            "needed; use shorter blocks or skip less"
        )
    return n_blocks


def block_sums(predicted: np.ndarray, observed: np.ndarray, blocks: TimeBlocks) -> np.ndarray:
    """Moments of predictions: (blocks, 5, voxels) float64 sums of p, y, p², y², p·y.

    Args:
        predicted: (voxels, test TRs), stories concatenated in the order of `blocks`.
        observed: (voxels, test TRs).
    """
    edges = np.concatenate([[0], np.cumsum(blocks.n)[:-1]])
    p, y = predicted.astype(np.float64), observed.astype(np.float64)
    sums = [np.add.reduceat(x, edges, axis=1).T for x in (p, y, p * p, y * y, p * y)]
    return np.stack(sums, axis=1)


def centre_stories(x: np.ndarray, lengths: Sequence[int], skip: int = 0) -> np.ndarray:
    """Rows (v, test TRs) less their mean in each story, float64; its first `skip` TRs do not count."""
    x = x.astype(np.float64)
    for part in np.split(x, np.cumsum(lengths)[:-1], axis=1):
        if part.shape[1] > skip:
            part -= part[:, skip:].mean(1, keepdims=True)
    return x


def vary_in_stories(x: np.ndarray, lengths: Sequence[int], skip: int = 0) -> np.ndarray:
    """Rows (v, test TRs) less their mean in each story, float64; 0 where a row is flat, so that it has no r.

    A row is flat if its standard deviation is below a millionth of its largest scored value: what is left is
    the rounding of float32. Predictions that are tiny as a whole, under a large penalty, do vary.
    """
    scored = np.concatenate([np.arange(length) >= skip for length in lengths])
    largest = np.abs(x[:, scored]).max(1, initial=0).astype(np.float64)
    x = centre_stories(x, lengths, skip)
    varies = np.linalg.norm(x[:, scored], axis=1) > 1e-6 * np.sqrt(scored.sum()) * largest
    return np.where(varies[:, None], x, 0.0)


def standard_rows(x: np.ndarray, lengths: Sequence[int], skip: int = 0) -> np.ndarray:
    """Rows (v, test TRs) as `vary_in_stories`, of variance 1 over the scored TRs; NaN where one has NaN."""
    scored = np.concatenate([np.arange(length) >= skip for length in lengths])
    varied = vary_in_stories(x, lengths, skip)
    deviation = np.sqrt((varied[:, scored] ** 2).mean(1, keepdims=True))
    varied /= np.where(deviation > 0, deviation, 1.0)
    return np.where(np.isfinite(x).all(1, keepdims=True), varied, np.nan).astype(np.float32)


def correlations(sums: np.ndarray, blocks: TimeBlocks, counts: np.ndarray | None = None) -> np.ndarray:
    """Pearson r within stories, in each set of blocks.

    Args:
        sums: (blocks, 5, voxels) sums of p, y, p², y², p·y.
        counts: (sets, blocks) how often each block is in a set; by default one set of all blocks.

    Returns:
        (sets, voxels); NaN where p or y does not vary, never 0.
    """
    counts = np.ones((1, len(blocks.n))) if counts is None else counts
    # Of each set: p², y², and the products of deviations pp, yy, py, added over stories.
    total = np.zeros((5, len(counts), sums.shape[2]))
    for story in dict.fromkeys(blocks.story):
        own = np.flatnonzero(blocks.story == story)
        part = sums[own].astype(np.float64).reshape(len(own), -1)
        p, y, pp, yy, py = np.moveaxis((counts[:, own] @ part).reshape(len(counts), 5, -1), 1, 0)
        n = (counts[:, own] @ blocks.n[own])[:, None]
        n = np.where(n > 0, n, 1)  # a story may be in no block of a set: its sums are 0
        for added, value in zip(total, (pp, yy, pp - p * p / n, yy - y * y / n, py - p * y / n), strict=True):
            added += value
    pp, yy, var_p, var_y, products = total
    with np.errstate(invalid="ignore", divide="ignore"):
        # Sums are stored as float32: a variance below their rounding counts as 0.
        usable = (var_p > 1e-6 * pp) & (var_y > 1e-6 * yy)
        return np.where(usable, products / np.sqrt(var_p * var_y), np.nan)
