"""The solvers that ours is compared with, and the simulated stories and voxels for all of them.

They are himalaya and the field's bootstrap ridge, written here from its published description.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from voxscale.ridge import RidgeProblem, story_folds
from voxscale.ridge.kernel import delayed_rows

STORIES, FOLDS, TEST_TRS, DELAYS = 25, 5, 300, (1, 2, 3, 4)
ALPHAS = np.logspace(1, 4, 15)
LATENTS = 30  # that drive the responses


class Answer(NamedTuple):
    """Index of each voxel's alpha, and its test r."""

    alpha: np.ndarray
    r: np.ndarray


@dataclass
class Data:
    """Stories of equal length, the test story last, and some subjects.

    Attributes:
        x: (n + m, d) features.
        y: (subjects · voxels, n + m) responses, subject by subject.
        n: training TRs.
        voxels: of a subject.
    """

    x: np.ndarray
    y: np.ndarray
    n: int
    voxels: int

    def problem(self, n: int, subjects: int, screen: str = "off") -> RidgeProblem:
        """The first `n` TRs of the first subjects."""
        lengths = [self.n // STORIES] * (n * STORIES // self.n)
        return RidgeProblem(
            x_train=self.x[:n],
            train_lengths=lengths,
            x_test=self.x[self.n :],
            test_lengths=[TEST_TRS],
            y_train=self.y[: subjects * self.voxels, :n],
            folds=story_folds(lengths, FOLDS),
            alphas=ALPHAS,
            delays=DELAYS,
            screen=screen,
            memory_gb=12,
        )

    def delayed(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Delayed training and test features, written out: (n, p) and (m, p) float32."""
        problem = self.problem(n, 1)
        sets = (problem.x_train, problem.train_lengths), (problem.x_test, problem.test_lengths)
        train, test = (
            delayed_rows(torch.from_numpy(x), lengths, DELAYS, torch.arange(len(x))) for x, lengths in sets
        )
        return train, test

    def responses(self, n: int) -> torch.Tensor:
        """(n, voxels) of the first subject, the shape that the other solvers need."""
        return torch.from_numpy(self.y[: self.voxels, :n].T.copy())

    def score(self, predicted: np.ndarray) -> np.ndarray:
        """Test r of predictions (v, m) of the first v voxels."""
        observed = self.y[: len(predicted), self.n :]
        a, b = (part - part.mean(1, keepdims=True) for part in (predicted, observed))
        return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def simulate(n: int, d: int, voxels: int, subjects: int, seed: int = 0) -> Data:
    """Features with a power-law spectrum, smooth in time; responses follow their first parts, delayed."""
    random = np.random.default_rng(seed)
    trs = n + TEST_TRS
    z = random.standard_normal((trs + 2, d), np.float32)
    z = z[:-2] + 2 * z[1:-1] + z[2:]
    z /= z.std()
    turn = np.linalg.qr(random.standard_normal((d, d)))[0].astype(np.float32)
    x = (z * np.arange(1, d + 1, dtype=np.float32) ** -0.5) @ turn
    x = (x - x[:n].mean(0)) / x[:n].std(0)
    driven = np.concatenate([np.roll(z[:, :LATENTS], delay, 0) for delay in DELAYS], 1)
    fall = np.tile(np.arange(1, LATENTS + 1, dtype=np.float32) ** -0.5, len(DELAYS))[:, None]
    y = np.empty((subjects * voxels, trs), np.float32)
    for start in range(0, len(y), voxels):
        weights = random.standard_normal((len(fall), voxels), np.float32) * fall
        signal = (driven @ weights).T
        share = 0.6 * random.random((voxels, 1), np.float32) ** 2
        signal *= np.sqrt(share) / signal.std(1, keepdims=True)
        signal += np.sqrt(1 - share) * random.standard_normal(signal.shape, np.float32)
        y[start : start + voxels] = (signal - signal.mean(1, keepdims=True)) / signal.std(1, keepdims=True)
    return Data(x.astype(np.float32), y, n, voxels)


def bootstrap_ridge(data: Data, n: int) -> Answer:
    """The field's usual solver: in float64, one SVD per held-out set and one for the weights, per subject.

    Both its products and its SVDs run on torch.
    """
    x, x_test = (part.double() for part in data.delayed(n))
    y = data.responses(n).double()
    cv = torch.zeros(len(ALPHAS), y.shape[1], dtype=torch.float64)
    for train, held in data.problem(n, 1).folds:
        u, s, vt = torch.linalg.svd(x[train], full_matrices=False)
        uy, xv = u.T @ y[train], x[held] @ vt.T
        observed = (y[held] - y[held].mean(0)) / y[held].std(0, correction=0)
        for a, alpha in enumerate(ALPHAS):
            predicted = (xv * (s / (s**2 + alpha**2))) @ uy
            predicted = (predicted - predicted.mean(0)) / predicted.std(0, correction=0)
            cv[a] += (observed * predicted).mean(0) / FOLDS
    best = cv.argmax(0)
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    uy = u.T @ y
    weights = torch.empty(x.shape[1], y.shape[1], dtype=torch.float64)
    for a, alpha in enumerate(ALPHAS):
        chosen = torch.nonzero(best == a).squeeze(1)
        weights[:, chosen] = vt.T @ ((s / (s**2 + alpha**2))[:, None] * uy[:, chosen])
    return Answer(best.numpy(), data.score((x_test @ weights).T.numpy()))


def himalaya(data: Data, n: int) -> Answer:
    """himalaya's KernelRidgeCV where p > n, else RidgeCV: torch backend, float32, scored by correlation."""
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.ridge import RidgeCV

    x, x_test = data.delayed(n)
    kind = KernelRidgeCV if x.shape[1] > n else RidgeCV
    return _himalaya(data, n, kind, "torch", x, x_test, data.responses(n), 2048, None)


def himalaya_on(data: Data, n: int, device: torch.device, targets: int, alphas: int) -> Answer:
    """KernelRidgeCV on a GPU, features and responses on the card from the start, in the given batches."""
    from himalaya.kernel_ridge import KernelRidgeCV

    x, x_test = (part.to(device) for part in data.delayed(n))
    backend = "torch_cuda" if device.type == "cuda" else "torch"
    return _himalaya(
        data, n, KernelRidgeCV, backend, x, x_test, data.responses(n).to(device), targets, alphas
    )


def _himalaya(
    data: Data,
    n: int,
    kind: Any,
    backend: str,
    x: torch.Tensor,
    x_test: torch.Tensor,
    y: torch.Tensor,
    targets: int,
    alphas: int | None,
) -> Answer:
    from himalaya.backend import set_backend
    from himalaya.scoring import correlation_score
    from sklearn.model_selection import PredefinedSplit

    set_backend(backend)
    fold = np.empty(n, int)
    for f, (_, held) in enumerate(data.problem(n, 1).folds):
        fold[held] = f
    batches = {"n_targets_batch": targets, "n_targets_batch_refit": targets, "n_alphas_batch": alphas}
    model = kind(
        alphas=ALPHAS**2,
        cv=PredefinedSplit(fold),
        solver_params={"score_func": correlation_score, **batches},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y)
        predicted = model.predict(x_test).cpu().numpy().T
    alpha = np.abs(np.log(model.best_alphas_.cpu().numpy())[:, None] - 2 * np.log(ALPHAS)).argmin(1)
    return Answer(alpha, data.score(predicted))
