"""Significant voxels of a study: those that any reference model predicts inside the training stories.

Voxels chosen by their significance on a test set score too high on that test set: the more so the shorter it
is, and most for the model that chose them, so that a law over them is too steep. They are therefore chosen by
the score held out in training. Only the time span over which a voxel's noise is correlated is taken from the
test set, and independently of its score: a high r has a smaller error, so that the plain error of r would
favour lucky voxels.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.encoding import MomentsFile
from voxscale.io import tables
from voxscale.statistics import (
    FEWEST_BLOCKS,
    TimeBlocks,
    correlations,
    false_discovery,
    jackknife_error,
    skipped_trs,
)


def error_at_zero(sums: np.ndarray, blocks: TimeBlocks) -> np.ndarray:
    """Standard error that r would have at r = 0: (voxels,).

    The error of r is proportional to 1 − r² (Fisher 1915).

    Args:
        sums: (blocks, 5, voxels).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return jackknife_error(sums, blocks) / (1 - correlations(sums, blocks)[0] ** 2)


def training_p(
    cv_r: np.ndarray, train_trs: int, error: np.ndarray, test_trs: int, n_blocks: int, n_alphas: int
) -> np.ndarray:
    """One-sided p of the score held out in training: (voxels,), NaN where a score or its error is unknown.

    How much r varies by chance depends on how long a voxel's noise is correlated in time, which is measured
    on the test stories. A mean over folds varies √2 times as much as one r over all their TRs: chance
    agreement of two folds counts twice, as each is predicted from the other (fully so under large alphas,
    less under small ones). As cv_r is the best of several alphas, p is multiplied by their number
    (Bonferroni).

    ASSUME: noise is as correlated in training as in the test, so that r varies with 1/√TRs.

    Args:
        cv_r: (voxels,) held-out correlation at the best alpha.
        error: (voxels,) of `error_at_zero`, from n_blocks blocks of test_trs TRs.
    """
    from scipy import special

    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(error > 0, error, np.nan) * (1 - cv_r**2)
        t = cv_r / (error * np.sqrt(2 * test_trs / train_trs))
        return np.minimum(n_alphas * special.stdtr(n_blocks - 1, -t), 1.0)


def reference_p(
    references: Iterable[tuple[str | Path, str | Path]], settings: Mapping[str, Any]
) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """`training_p` of all reference cells, by the first draw of each: subject -> cell -> (voxels, p).

    A subject whose test stories have too few blocks for any p has none, and a warning says so.

    Args:
        references: `scores.parquet` and moments of each reference cell.
        settings: n_alphas, skip_s, tr_s.
    """
    found: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    short: dict[str, int] = {}  # subjects of too few blocks, and how many they have
    names = ["model", "layer", "subject", "n_train", "draw", "voxel", "cv_r", "train_trs"]
    for scores, moments in references:
        table = tables.read("scores", scores, names)
        about = table.slice(0, 1).to_pylist()[0]
        first = table["draw"].to_numpy() == about["draw"]
        voxels, cv_r = (table[name].to_numpy()[first] for name in ("voxel", "cv_r"))
        cell = MomentsFile(moments, voxels, scores)
        kept = cell.blocks.kept(skipped_trs(settings))
        blocks = cell.blocks.take(kept)
        if len(blocks.n) < FEWEST_BLOCKS:
            short[about["subject"]] = len(blocks.n)
            continue
        error = np.concatenate([error_at_zero(sums, blocks) for _, sums in cell.read(0, kept)])
        trs = about["train_trs"], error, int(blocks.n.sum())
        p = training_p(cv_r, *trs, len(blocks.n), settings["n_alphas"])
        name = f"{about['model']} layer {about['layer']} n_train {about['n_train']}"
        found.setdefault(about["subject"], {})[name] = voxels, p
    for subject, n_blocks in short.items():
        print(
            f"WARNING {subject}: its test stories have {n_blocks} blocks of TRs after the skipped seconds, "
            f"and a p needs {FEWEST_BLOCKS}: which voxels are significant is not known; take longer stories",
            file=sys.stderr,
        )
    return found


def significant(
    references: Mapping[str, tuple[np.ndarray, np.ndarray]], voxels: np.ndarray, fdr: float
) -> np.ndarray:
    """Whether each voxel is significant under any of a subject's reference cells: (voxels,) bool.

    Of several references the smallest p counts, times their number (Bonferroni); the false discovery rate is
    that of this p.

    ASSUME: the references represent all models: all cells are scored on the same voxels.

    Args:
        references: of `reference_p`.
    """
    p = np.full(len(voxels), np.nan)
    for ids, values in references.values():
        inside = np.isin(voxels, ids)
        p[inside] = np.fmin(p[inside], values[np.searchsorted(ids, voxels[inside])])
    return np.nan_to_num(false_discovery(np.minimum(len(references) * p, 1.0)), nan=1.0) <= fdr
