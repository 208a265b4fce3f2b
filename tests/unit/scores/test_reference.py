"""Significant voxels: no more false ones than said, by ridge on noise; and nothing gained on the test set."""

import numpy as np
import pytest
from simulated_study import chain, correlate, smooth

from voxscale.ridge import RidgeProblem, solve_ridge, story_folds
from voxscale.scores.significant import error_at_zero, training_p
from voxscale.statistics import block_sums, blocks_of, false_discovery, jackknife_error


def error_of(predicted, observed):
    blocks = blocks_of({"a": observed.shape[1]}, 10)
    return error_at_zero(block_sums(predicted, observed, blocks), blocks), len(blocks.n)


def test_jackknife_is_a_literal_one_and_the_spread_of_r():
    rng = np.random.default_rng(0)
    p, y = smooth(rng.normal(size=(2, 3000, 250)))
    blocks = blocks_of({"a": 200}, 10)
    error = jackknife_error(block_sums(p, y, blocks), blocks)
    assert len(blocks.n) == 20
    left = [np.delete(np.arange(200), slice(10 * b, 10 * b + 10)) for b in range(20)]
    literal = np.array([correlate(p[:5, rows], y[:5, rows]) for rows in left])
    np.testing.assert_allclose(error[:5], np.sqrt(19 * literal.var(0)), rtol=1e-6)
    assert np.sqrt((error**2).mean()) == pytest.approx(correlate(p, y).std(), rel=0.12)
    assert np.isnan(jackknife_error(np.ones((2, 5, 3)), blocks_of({"a": 20}, 10))).all()


def test_ridge_on_noise_finds_no_voxel():
    """The best of 15 alphas is never better than its p says."""
    rng = np.random.default_rng(1)
    n, test = 800, 240
    x = smooth(rng.normal(size=(20, n + test + 50))).T.astype(np.float32)
    y = smooth(rng.normal(size=(2000, n + test + 50))).astype(np.float32)
    problem = RidgeProblem(
        x_train=x[:n],
        train_lengths=[100] * 8,
        x_test=x[n:],
        test_lengths=[test],
        y_train=y[:, :n],
        folds=story_folds([100] * 8, 4),
        alphas=np.logspace(-1, 4, 15),
    )
    found = [(block.cv_r, block.test_prediction) for block in solve_ridge(problem)]
    cv_r, predicted = (np.concatenate(part) for part in zip(*found, strict=True))
    error, blocks = error_of(predicted, y[:, n:])
    p = training_p(cv_r, n, error, test, blocks, 15)
    for level in (0.05, 0.01):
        assert (p <= level).mean() <= level
    assert (false_discovery(p) <= 0.05).sum() <= 1
    assert (training_p(cv_r + 0.4, n, error, test, blocks, 15) < 0.05).mean() > 0.9
    literal = error * np.sqrt(2 * test / n)
    assert cv_r.std() == pytest.approx(np.median(literal), rel=0.1), "two folds' agreement counts twice"
    assert np.isnan(training_p(np.array([np.nan, 0.1]), n, np.array([0.1, 0.0]), test, blocks, 15)).all()


def test_scores_over_voxels_chosen_in_training_are_not_too_high():
    excess, found = [], []
    r = np.concatenate([np.linspace(0.05, 0.4, 60), np.full(140, 1e-3)])
    for seed in range(60):
        training, test = (chain(r[None], trs, seed=2 * seed + i) for i, trs in enumerate((800, 120)))
        error, blocks = error_of(test[0][0], test[1])
        p = training_p(correlate(training[0][0], training[1]), 800, error, 120, blocks, 15)
        chosen = false_discovery(p) <= 0.05
        found.append(chosen[:60].mean())
        if chosen.any():
            excess.append((correlate(test[0][0], test[1]) - r)[chosen].mean())
    assert np.mean(found) > 0.1
    assert abs(np.mean(excess)) < 3 * np.std(excess) / np.sqrt(len(excess)), (
        "by the plain error of the test r: 0.05"
    )
