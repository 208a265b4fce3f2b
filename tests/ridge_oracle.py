"""Textbook ridge in float64, the delayed matrix written out: what the solver is held against."""

import numpy as np


def delay(x, lengths, delays):
    """(n, delays * d), by a literal loop over stories, rows and delays."""
    n, d = x.shape
    out = np.zeros((n, len(delays) * d))
    start = 0
    for length in lengths:
        for t in range(length):
            for j, q in enumerate(delays):
                if t >= q:
                    out[start + t, j * d : (j + 1) * d] = x[start + t - q]
        start += length
    return out


def fit(x, y, lam):
    """Weights (p, voxels) of minimum |y - xw|² + λ|w|², solved through the SVD of x."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return vt.T @ ((s / (s**2 + lam))[:, None] * (u.T @ y))


def correlation(a, b):
    """Pearson r of the columns; 0 where one does not vary."""
    a, b = a - a.mean(0), b - b.mean(0)
    length = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    small = np.sqrt((a**2).sum(0)) < 1e-10
    return np.where((length > 0) & ~small, (a * b).sum(0) / np.where(length > 0, length, 1), 0.0)


class Oracle:
    """Held-out scores and predictions of a problem at every alpha.

    Attributes:
        cv: (alphas, voxels) mean held-out correlation.
        test: (alphas, m, voxels) test predictions.
        oof: (alphas, n, voxels) out-of-fold predictions, NaN where no fold holds a row out.
        weights: (alphas, p, voxels).
    """

    def __init__(self, problem):
        x = delay(np.asarray(problem.x_train, np.float64), problem.train_lengths, problem.delays)
        x_test = delay(np.asarray(problem.x_test, np.float64), problem.test_lengths, problem.delays)
        y = np.asarray(problem.y_train[:], np.float64).T  # (n, voxels)
        lams = problem.absolute_alphas() ** 2
        shape = len(lams), len(x), y.shape[1]
        self.cv, total, times = np.zeros((len(lams), y.shape[1])), np.zeros(shape), np.zeros(len(x))
        for train, held in problem.folds:
            times[held] += 1
            for a, lam in enumerate(lams):
                predicted = x[held] @ fit(x[train], y[train], lam)
                self.cv[a] += correlation(predicted, y[held]) / len(problem.folds)
                total[a][held] += predicted
        with np.errstate(invalid="ignore"):
            self.oof = total / np.where(times > 0, times, np.nan)[None, :, None]
        self.weights = np.stack([fit(x, y, lam) for lam in lams])
        self.test = x_test @ self.weights
