"""Significant voxels of a study: those that its reference models predict inside the training stories.

Voxels that a test set calls significant score too high on that test set, the more so the shorter it is, and
those of the model that chose them most of all: a law over them is too steep. They are therefore chosen by the
score held out in training. Of the test set it is known only how far a voxel's noise reaches in time, and that
freed of its score: a high r errs less, so that the plain error of r would choose lucky voxels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.statistics import Moments, correlations, false_discovery, jackknife_error, skipped_trs


def error_at_zero(sums: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Standard error that r would have at r = 0: (voxels,).

    r errs in proportion to 1 − r² (Fisher 1915).

    Args:
        sums: (blocks, 5, voxels); n: (blocks,) TRs.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return jackknife_error(sums, n) / (1 - correlations(sums.sum(0), n.sum()) ** 2)


def training_p(
    cv_r: np.ndarray, train_trs: int, error: np.ndarray, test_trs: int, n_blocks: int, n_alphas: int
) -> np.ndarray:
    """One-sided p of the score held out in training: (voxels,), NaN where a score or its error is unknown.

    How far r strays on its own depends on how far a voxel's noise reaches in time, which its test r tells. A
    mean over folds strays √2 times as far as one r over all their TRs: chance agreement of two folds counts
    twice, as each is predicted from the other (fully so under large alphas, less under small ones). As cv_r
    is the best of several alphas, p is multiplied by their number (Bonferroni).

    ASSUME: noise reaches as far in training as in the test, so that r strays with 1/√TRs.

    Args:
        cv_r: (voxels,) held-out correlation at the best alpha.
        error: (voxels,) of `error_at_zero`, from n_blocks blocks of test_trs TRs.
    """
    from scipy import special

    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(error > 0, error, np.nan) * (1 - cv_r**2)
        t = cv_r / (error * np.sqrt(2 * test_trs / train_trs))
        return np.minimum(n_alphas * special.stdtr(n_blocks - 1, -t), 1.0)


class Significant:
    """Voxels that are significant under any of a subject's reference cells, by the first draw of each.

    ASSUME: the references stand for all models: the same voxels, whatever cell is scored on them.

    Args:
        references: `scores.parquet` and moments of each reference cell.
        settings: fdr, n_alphas, skip_s, tr_s.
    """

    def __init__(
        self, references: Iterable[tuple[str | Path, str | Path]], settings: Mapping[str, Any]
    ) -> None:
        self.fdr: float = settings["fdr"]
        self.found: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
        names = ["model", "layer", "subject", "n_train", "draw", "voxel", "cv_r", "train_trs"]
        for scores, moments in references:
            table = tables.read("scores", scores, names)
            about = table.slice(0, 1).to_pylist()[0]
            first = table["draw"].to_numpy() == about["draw"]
            voxels, cv_r = (table[name].to_numpy()[first] for name in ("voxel", "cv_r"))
            opened = Moments(moments)
            if not np.array_equal(opened.voxels, voxels):
                raise UserError(f"{moments}: has other voxels than {scores}; fit the cell again")
            kept = opened.blocks.kept(skipped_trs(settings))
            n = opened.blocks.n[kept]
            error = np.concatenate([error_at_zero(sums, n) for _, sums in opened.read(0, kept)])
            p = training_p(cv_r, about["train_trs"], error, int(n.sum()), len(n), settings["n_alphas"])
            name = f"{about['model']} layer {about['layer']} n_train {about['n_train']}"
            self.found.setdefault(about["subject"], {})[name] = voxels, p

    def of(self, subject: str, voxels: np.ndarray) -> tuple[np.ndarray, str]:
        """(voxels,) bool, and the names of the reference cells.

        Of several references the least p counts, times their number (Bonferroni); rates are of that.
        """
        mine = self.found.get(subject, {})
        p = np.full(len(voxels), np.nan)
        for ids, values in mine.values():
            inside = np.isin(voxels, ids)
            p[inside] = np.fmin(p[inside], values[np.searchsorted(ids, voxels[inside])])
        q = np.nan_to_num(false_discovery(np.minimum(len(mine) * p, 1.0)), nan=1.0)
        return q <= self.fdr, " or ".join(mine) or "none"
