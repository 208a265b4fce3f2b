"""Voxelwise ridge as estimators of scikit-learn: responses are (TRs, voxels), new data can be predicted.

Penalties are those of the whole library: λ = α² for an α of the grid, so that `VoxelwiseRidgeCV(alphas=[10])`
without delays is scikit-learn's `Ridge(alpha=100)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted, validate_data

from voxscale.ridge.banded import band_weights, solve_banded, split_r
from voxscale.ridge.folds import story_folds
from voxscale.ridge.kernel import delayed_rows
from voxscale.ridge.prediction import solve_weights
from voxscale.ridge.problem import Fold, RidgeProblem
from voxscale.ridge.solver import solve_ridge

ALPHAS = tuple(np.logspace(0, 4, 17))


def _story_lengths(groups: Any, n: int) -> list[int]:
    """Rows of each story, from the story of each row."""
    if groups is None:
        return [n]
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(f"groups has shape {groups.shape}, X has {n} rows; name the story of each row")
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    if len(starts) != len(set(groups.tolist())):
        raise ValueError("the rows of a story are not one behind the other; put each story's rows together")
    return np.diff(np.r_[starts, n]).tolist()


class _DelayedRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """What single and banded ridge share: checks, centring, prediction from weights, scores."""

    def _problem(self, x: np.ndarray, y: np.ndarray, groups: Any) -> RidgeProblem:
        """The problem of centred data; keeps the means."""
        x, y = validate_data(self, x, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32])
        lengths = _story_lengths(groups, len(x))
        self._single = y.ndim == 1
        y = y.reshape(len(y), -1)
        self._x_mean, self._y_mean = x.mean(0, dtype=np.float64), y.mean(0, dtype=np.float64)
        if len(x) < 2:
            raise ValueError(f"X has n_samples={len(x)} TR; cross-validation needs two or more")
        delays = list(self.delays)
        if not delays or min(delays) < 0 or len(set(delays)) < len(delays):
            raise ValueError(f"delays are {delays}; give different whole numbers of TRs from 0 up")
        x = x - self._x_mean
        return RidgeProblem(
            x_train=x,
            train_lengths=lengths,
            x_test=x[:0],
            test_lengths=[0],
            y_train=np.subtract(y.T, self._y_mean[:, None], order="C"),
            folds=self._folds(x, y, groups, lengths),
            alphas=np.sort(np.asarray(ALPHAS if self.alphas is None else self.alphas, np.float64)),
            delays=delays,
            precision=self.precision,
            device=self.device,
            memory_gb=self.memory_gb,
        )

    def _folds(self, x: np.ndarray, y: np.ndarray, groups: Any, lengths: Sequence[int]) -> list[Fold]:
        if isinstance(self.cv, int):
            return story_folds(lengths, self.cv)
        return [Fold(*map(np.sort, rows)) for rows in check_cv(self.cv).split(x, y, groups)]

    def _keep(self, alphas: np.ndarray, cv_scores: np.ndarray, coef: np.ndarray) -> None:
        self.alphas_, self.cv_scores_, self.coef_ = alphas, cv_scores, coef
        self.intercept_ = self._y_mean - coef.sum(1).astype(np.float64) @ self._x_mean
        if self._single:
            self.coef_, self.intercept_ = coef[0], float(self.intercept_[0])

    def _weighted(self, X: Any, groups: Any, coef: np.ndarray) -> np.ndarray:
        """(TRs, voxels) centred predictions of weights (voxels, delays, features)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        weights = torch.as_tensor(coef.reshape(len(coef), -1).T)
        parts, start = [], 0
        for length in _story_lengths(groups, len(X)):
            story = torch.as_tensor(X[start : start + length] - self._x_mean).to(weights)
            parts.append(delayed_rows(story, [length], self.delays, torch.arange(length)) @ weights)
            start += length
        return torch.cat(parts).numpy()

    def predict(self, X: Any, groups: Any = None) -> np.ndarray:
        """Predict the responses of other stories.

        Args:
            X: (TRs, features), scaled as in training.
            groups: (TRs,) story of each row; None: one story. Delays do not reach into the story before.

        Returns:
            (TRs, voxels) float64, or (TRs,) after a fit to one series.
        """
        check_is_fitted(self)
        coef = self.coef_[None] if self._single else self.coef_
        predicted = self._weighted(X, groups, coef) + self._y_mean
        return predicted[:, 0] if self._single else predicted

    def score_per_voxel(self, X: Any, Y: Any, groups: Any = None) -> np.ndarray:
        """Pearson r of prediction and response over all TRs: (voxels,) float64, 0 where one does not vary."""
        predicted = self.predict(X, groups).reshape(len(X), -1)
        return np.nan_to_num(split_r(predicted.T[None], _responses(Y, predicted.shape))[0])

    def score(self, X: Any, y: Any, groups: Any = None) -> float:
        """Mean over the voxels of `score_per_voxel`: Pearson r, not R²."""
        return float(self.score_per_voxel(X, y, groups).mean())


def _responses(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """(voxels, TRs) of responses (TRs, voxels) or (TRs,)."""
    values = np.asarray(values, np.float64)
    values = values.reshape(len(values), -1)
    if values.shape != shape:
        raise ValueError(f"Y has {values.shape} TRs and voxels, the prediction has {shape}")
    return values.T


class VoxelwiseRidgeCV(_DelayedRidge):
    """Ridge with a finite impulse response and a penalty of its own for each voxel.

    Features and responses are centred on the training set, so there is an intercept; scale them per story
    before (`voxscale.timeseries.zscore`). Each voxel's α has the largest mean held-out correlation.

    Args:
        delays: of the impulse response, in TRs; they stay inside a story. (0,): none.
        alphas: grid of α, the penalty being λ = α²; None: 17 from 1 to 10,000.
        cv: number of folds, which hold out whole stories (contiguous parts of a single one), or
            anything that scikit-learn accepts as `cv`.
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, ...
        precision: `float32` or `float64`, of the scoring. Folds of fewer than 64 TRs are always in float64.
        memory_gb: memory of the fit in addition to the data and the weights, in 10⁹ bytes.

    Attributes:
        alphas_: (voxels,) chosen α; NaN for a constant response, whose weights are 0.
        cv_scores_: (voxels,) mean held-out correlation at that α.
        coef_: (voxels, delays, features): what a feature, so many TRs ago, adds to the response.
        intercept_: (voxels,).
        n_features_in_: features of X.

    A fit to a single series `Y` (TRs,) has one-dimensional predictions and `coef_` (delays, features).

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> X = random.standard_normal((300, 5))
    >>> Y = np.vstack([np.zeros((2, 5)), X[:-2]]) @ random.standard_normal((5, 40))  # two TRs later
    >>> stories = np.repeat(["walk", "rain", "exam"], 100)
    >>> model = VoxelwiseRidgeCV(device="cpu").fit(X[:200], Y[:200], groups=stories[:200])
    >>> bool(model.score(X[200:], Y[200:]) > 0.9)
    True
    """

    def __init__(
        self,
        delays: Sequence[int] = (1, 2, 3, 4),
        alphas: Sequence[float] | None = None,
        cv: Any = 5,
        device: str = "auto",
        precision: str = "float32",
        memory_gb: float = 4.0,
    ) -> None:
        self.delays, self.alphas, self.cv = delays, alphas, cv
        self.device, self.precision, self.memory_gb = device, precision, memory_gb

    def fit(self, X: Any, y: Any, groups: Any = None) -> VoxelwiseRidgeCV:
        """Choose each voxel's α by cross-validation and fit its weights to all training TRs.

        Args:
            X: (TRs, features) float, stories stacked.
            y: (TRs, voxels) or (TRs,) responses.
            groups: (TRs,) story of each row; None: all are one story.

        Raises:
            ValueError: shapes do not fit, a value is not finite, or `memory_gb` is too little.
        """
        problem = self._problem(X, y, groups)
        index = np.full(problem.y_train.shape[0], -1)
        alphas, scores = (np.full(len(index), np.nan) for _ in range(2))
        for block in solve_ridge(problem):
            index[block.voxels], alphas[block.voxels] = block.alpha_index, block.alpha
            scores[block.voxels] = block.cv_r
        coef = np.zeros((len(index), len(problem.delays), self.n_features_in_), problem.arithmetic)
        for part in solve_weights(problem, index):
            coef[part.voxels] = part.values
        self._keep(alphas, scores, coef)
        return self


class BandedRidgeCV(_DelayedRidge):
    """Banded ridge: several feature spaces in one model, how they share the penalty chosen for each voxel.

    As `VoxelwiseRidgeCV`, with himalaya's random search over the shares. Each band's kernel is brought to one
    mean diagonal first, so that a share does not depend on how many features a band has.
    Source: Dupré la Tour et al. 2022, https://doi.org/10.1016/j.neuroimage.2022.119728

    Args:
        bands: name -> columns of X (a slice or a list of numbers); None: all columns are one band.
        samples: candidates for the shares: equal ones, each band alone, the rest drawn.
        seed: of the draws.
        delays, alphas, cv, device, memory_gb: as for `VoxelwiseRidgeCV`; all work is in float64.

    Attributes:
        alphas_, cv_scores_, coef_, intercept_, n_features_in_: as for `VoxelwiseRidgeCV`; `coef_` covers all
            columns of X, 0 for those in no band.
        bands_: names of the bands.
        shares_: (bands, voxels) of the kernel that each band makes up; NaN for a constant response.

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> X = random.standard_normal((200, 8))
    >>> Y = X[:, :3] @ random.standard_normal((3, 10)) + random.standard_normal((200, 10))
    >>> model = BandedRidgeCV({"sound": slice(0, 3), "words": slice(3, 8)}, delays=(0,), device="cpu")
    >>> model.fit(X, Y).shares_.mean(1).argmax()  # the sound drives the responses
    np.int64(0)
    """

    def __init__(
        self,
        bands: Mapping[str, Any] | None = None,
        samples: int = 30,
        seed: int = 0,
        delays: Sequence[int] = (1, 2, 3, 4),
        alphas: Sequence[float] | None = None,
        cv: Any = 5,
        device: str = "auto",
        memory_gb: float = 4.0,
    ) -> None:
        self.bands, self.samples, self.seed = bands, samples, seed
        self.delays, self.alphas, self.cv = delays, alphas, cv
        self.device, self.memory_gb = device, memory_gb

    precision = "float64"

    def _columns(self, n_features: int) -> Iterator[tuple[str, np.ndarray]]:
        taken = np.zeros(n_features, int)
        for name, wanted in ({"all": slice(None)} if self.bands is None else self.bands).items():
            columns = np.arange(n_features)[wanted]
            if not len(columns):
                raise ValueError(f"band {name} has no column of X; name one or more")
            taken[columns] += 1
            yield name, columns
        if taken.max() > 1:
            raise ValueError(f"column {taken.argmax()} of X is in two bands; leave it in one")

    def fit(self, X: Any, y: Any, groups: Any = None) -> BandedRidgeCV:
        """Choose each voxel's shares and α by cross-validation and fit its weights to all training TRs.

        Args:
            X: (TRs, features) float, stories stacked.
            y: (TRs, voxels) or (TRs,) responses.
            groups: (TRs,) story of each row; None: all are one story.

        Raises:
            ValueError: shapes or bands do not fit, a value is not finite, or `memory_gb` is too little.
        """
        problem = self._problem(X, y, groups)
        self._bands = dict(self._columns(self.n_features_in_))
        self.bands_ = list(self._bands)
        n_voxels = problem.y_train.shape[0]
        problems = [
            replace(problem, x_train=problem.x_train[:, columns], x_test=problem.x_test[:, columns])
            for columns in self._bands.values()
        ]
        alphas, scores = (np.full(n_voxels, np.nan) for _ in range(2))
        self.shares_ = np.full((len(problems), n_voxels), np.nan)
        coef = np.zeros((n_voxels, len(problem.delays), self.n_features_in_))
        for found in solve_banded(problems, self.samples, self.seed):
            voxels = found.block.voxels
            alphas[voxels], scores[voxels] = found.block.alpha, found.block.cv_r
            self.shares_[:, voxels] = found.share
            for columns, values in zip(self._bands.values(), band_weights(problems, found), strict=True):
                coef[voxels, :, columns] = values
        self._keep(alphas, scores, coef)
        return self

    def score_per_band(self, X: Any, Y: Any, groups: Any = None) -> np.ndarray:
        """Each band's part of the correlation: (bands, voxels) float64, which add up to `score_per_voxel`."""
        check_is_fitted(self)
        coef = self.coef_[None] if self._single else self.coef_
        parts = []
        for columns in self._bands.values():
            own = np.zeros_like(coef)
            own[:, :, columns] = coef[:, :, columns]
            parts.append(self._weighted(X, groups, own).T)
        return np.nan_to_num(split_r(np.stack(parts), _responses(Y, parts[0].T.shape)))
