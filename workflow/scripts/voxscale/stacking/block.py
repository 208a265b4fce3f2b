"""Stacks of models: for each voxel the convex combination of predictions with the least error in training.

Weights come from out-of-fold predictions of the training stories and are scored on the test stories, which
they do not depend on. From the same predictions: what language and speech models explain alone and together.
Source: Lin, Naselaris, Kay & Wehbe 2024, Stacked regressions and structured variance partitioning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxscale.stacking.simplex import convex_weights
from voxscale.statistics import (
    TimeBlocks,
    block_counts,
    block_sums,
    blocks_of,
    interval,
    resampled_r,
    vary_in_stories,
)

_GROUPS = ("language", "speech")


@dataclass(frozen=True)
class ScoredRows:
    """Which test TRs are scored, and in which blocks they are resampled.

    Args:
        lengths: test TRs of each story; skip: of these, how many are left out at its start.
        rows: indices of the others into the concatenated test TRs.
        blocks: of these rows.
        counts: (resamples, blocks), row 0 the real test set.
        level: of the intervals.
    """

    lengths: Sequence[int]
    skip: int
    rows: np.ndarray
    blocks: TimeBlocks
    counts: np.ndarray
    level: float

    @classmethod
    def of(
        cls, lengths: Mapping[str, int], skip: int, block: int, draws: int, seed: int, level: float
    ) -> ScoredRows:
        """Rows of test stories of these lengths (TRs), with `skip` TRs left out at the start of each."""
        ends = np.cumsum(list(lengths.values()))
        rows = [np.arange(end - max(n - skip, 0), end) for n, end in zip(lengths.values(), ends, strict=True)]
        blocks = blocks_of({story: max(n - skip, 0) for story, n in lengths.items()}, block)
        counts = block_counts(len(blocks.n), draws, seed)
        return cls(list(lengths.values()), skip, np.concatenate(rows), blocks, counts, level)

    def scores(self, predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Pearson r in every resample: (resamples, voxels); NaN where a row is flat."""
        scored = (vary_in_stories(x, self.lengths, self.skip)[:, self.rows] for x in (predicted, observed))
        sums = block_sums(*scored, self.blocks)
        return np.concatenate([r for _, r in resampled_r(sums, self.blocks, self.counts)], 1)

    def interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interval of a statistic (resamples, voxels)."""
        return interval(values[0], values[1:], self.level, len(self.blocks.n))


def error_gram(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(voxels, members, members) float64: products of the members' errors, summed over TRs.

    Of predictions (members, voxels, TRs) and responses (voxels, TRs).
    """
    errors = np.swapaxes(observed[None] - predicted, 0, 1).astype(np.float64)
    return errors @ np.swapaxes(errors, 1, 2)


def combine(weights: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Weighted sums (voxels, TRs): weights (voxels, members), predicted (members, voxels, TRs)."""
    return np.einsum("vk,kvt->vt", weights, predicted)


def _both(first: np.ndarray, second: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Least-squares weights of two stacks, with an intercept: (voxels, 2).

    ASSUME: language and speech together are a free sum of their two stacks. A convex sum cannot add two
    independent parts of a response, and would leave some of the variance that either explains unexplained.
    """
    x = np.stack([first, second], 1).astype(np.float64)
    x -= x.mean(2, keepdims=True)
    gram = x @ np.swapaxes(x, 1, 2)
    size = np.trace(gram, axis1=1, axis2=2)
    usable = np.isfinite(gram).all((1, 2)) & (size > 0)
    weights = np.full((len(x), 2), np.nan)
    target = (x @ (observed - observed.mean(1, keepdims=True)).astype(np.float64)[..., None])[usable]
    system = gram[usable] + 1e-9 * size[usable, None, None] * np.eye(2)
    weights[usable] = np.linalg.solve(system, target)[..., 0]
    return weights


def stack_block(
    oof: np.ndarray,
    test: np.ndarray,
    y_train: np.ndarray,
    y_test: np.ndarray,
    modalities: Sequence[str],
    rows: ScoredRows,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Stack some voxels.

    Args:
        oof: (members, voxels, training TRs) out-of-fold predictions.
        test: (members, voxels, test TRs).
        y_train, y_test: (voxels, TRs) responses, scaled as in the fits.
        modalities: of each member; `language` and `speech` are partitioned.

    Returns:
        columns of table `stacking` without subject and voxel, with `best` as the member's index (-1: none),
        and the weights (voxels, members).
    """
    gram = error_gram(oof, y_train)
    weights = convex_weights(gram)
    own = np.diagonal(gram, axis1=1, axis2=2)
    known = np.isfinite(own).all(1)
    best = np.where(known, np.nan_to_num(own, nan=np.inf).argmin(1), -1)
    r = {"stacked": rows.scores(combine(weights, test), y_test)}
    r["best"] = rows.scores(test[best, np.arange(test.shape[1])], y_test)
    r["best"][:, best < 0] = np.nan
    stacks = {}
    for group in _GROUPS:
        members = np.flatnonzero([modality == group for modality in modalities])
        if len(members):
            shares = convex_weights(gram[:, members[:, None], members])
            stacks[group] = combine(shares, oof[members]), combine(shares, test[members])
            r[group] = rows.scores(stacks[group][1], y_test)
        else:
            r[group] = np.full_like(r["best"], np.nan)
    reference = r["language"] if "language" in stacks else r["best"]
    columns = {f"r_{name}": values[0] for name, values in r.items()} | {"best": best}
    columns |= _with_interval("gain", r["stacked"] - reference, rows)
    return columns | _partition(stacks, y_train, y_test, r, rows), weights


def _with_interval(name: str, values: np.ndarray, rows: ScoredRows) -> dict[str, np.ndarray]:
    lo, hi = rows.interval(values)
    return {name: values[0], f"{name}_lo": lo, f"{name}_hi": hi}


def _partition(
    stacks: Mapping[str, tuple[np.ndarray, np.ndarray]],
    y_train: np.ndarray,
    y_test: np.ndarray,
    r: Mapping[str, np.ndarray],
    rows: ScoredRows,
) -> dict[str, np.ndarray]:
    """Unique and shared explained variance on the test set, as signed r²."""
    if len(stacks) == len(_GROUPS):
        (oof_a, test_a), (oof_b, test_b) = (stacks[group] for group in _GROUPS)
        free = _both(oof_a, oof_b, y_train)
        joint = rows.scores(free[:, :1] * test_a + free[:, 1:] * test_b, y_test)
    else:
        joint = np.full_like(r["best"], np.nan)
    joint, language, speech = (x * np.abs(x) for x in (joint, r["language"], r["speech"]))
    return {
        "r2_joint": joint[0],
        **_with_interval("unique_language", joint - speech, rows),
        **_with_interval("unique_speech", joint - language, rows),
        "shared": (language + speech - joint)[0],
    }


def weight_rows(
    subject: str, voxels: np.ndarray, members: Sequence[Mapping[str, Any]], weights: np.ndarray
) -> dict[str, Any]:
    """Columns of table `stacking_weights`: one row per voxel and member."""
    n = len(voxels)
    return {
        "subject": [subject] * (n * len(members)),
        "voxel": np.repeat(voxels, len(members)),
        "model": [member["model"] for member in members] * n,
        "layer": [member["layer"] for member in members] * n,
        "weight": weights.ravel(),
    }


def voxel_slices(n_voxels: int, members: int, trs: int, memory_gb: float) -> Iterator[slice]:
    """Slices of voxels whose predictions, errors and products of all members fit into the memory."""
    step = max(16, int(memory_gb * 1e9 / (trs * (members * 24 + 64))))
    for start in range(0, n_voxels, step):
        yield slice(start, min(start + step, n_voxels))
