"""Banded ridge against single ridge, where they must agree and where it must win."""

from dataclasses import replace

import numpy as np
import pytest
from ridge_oracle import correlation, delay, fit
from ridge_problems import make_problem, whole

from voxscale.ridge import sizes_of, solve_ridge
from voxscale.ridge.banded import banded_bytes, shares, solve_banded, split_r

LENGTHS, DELAYS = [60, 50, 55, 45], (1, 2)


def joined(blocks):
    """Blocks of a solution as one array per field, with shares and parts."""
    blocks = list(blocks)
    found = whole(block.block for block in blocks)
    found["share"] = np.concatenate([block.share for block in blocks], 1)
    found["parts"] = np.concatenate([block.parts for block in blocks], 1)
    return found


def split(problem, columns):
    """A problem as two: its first features and the rest."""
    return [
        replace(problem, x_train=problem.x_train[:, part], x_test=problem.x_test[:, part])
        for part in (slice(columns), slice(columns, None))
    ]


def test_bands_of_one_scale_and_equal_shares_are_single_ridge():
    for scale, alphas in (("absolute", np.logspace(0, 3, 7)), ("kernel", np.logspace(-2, 1, 7))):
        problem = make_problem(LENGTHS, 80, 30, alphas=alphas, alpha_scale=scale)
        half = problem.x_train[:, :40], problem.x_test[:, :40]
        # The same features twice: kernels of one scale, to the last digit.
        both = replace(
            problem, **{name: np.hstack([x, x]) for name, x in zip(("x_train", "x_test"), half, strict=True)}
        )
        single = whole(solve_ridge(replace(both, precision="float64")))
        banded = joined(solve_banded(split(both, 40), samples=1))
        np.testing.assert_array_equal(banded["alpha_index"], single["alpha_index"])
        np.testing.assert_allclose(banded["alpha"], single["alpha"], rtol=1e-9)
        np.testing.assert_allclose(banded["cv_r"], single["cv_r"], atol=2e-6)
        np.testing.assert_allclose(banded["test_prediction"], single["test_prediction"], atol=5e-6)
        np.testing.assert_allclose(banded["share"], 0.5)
        np.testing.assert_array_equal(banded["edge"], single["edge"])


def test_given_shares_are_ridge_on_scaled_bands():
    """Against the textbook: with shares g, band b is scaled by the root of g_b times its factor."""
    problem = make_problem(LENGTHS, 30, 12, alphas=np.array([30.0]), delays=DELAYS)
    bands = split(problem, 10)
    found = joined(solve_banded(bands, samples=12, seed=4))
    assert len(np.unique(found["share"][0])) > 2
    x, x_test = (
        [delay(getattr(b, f"x_{s}"), getattr(b, f"{s}_lengths"), DELAYS) for b in bands]
        for s in ("train", "test")
    )
    diagonal = np.array([(part**2).sum() / len(part) for part in x])
    for voxel in range(12):
        root = np.sqrt(found["share"][:, voxel] * diagonal.sum() / diagonal)
        scaled, scaled_test = (
            np.hstack([part * r for part, r in zip(parts, root, strict=True)]) for parts in (x, x_test)
        )
        y = problem.y_train[voxel].astype(np.float64)
        cv = np.mean(
            [
                correlation(scaled[held] @ fit(scaled[train], y[train, None], 900.0), y[held, None])
                for train, held in problem.folds
            ]
        )
        np.testing.assert_allclose(found["cv_r"][voxel], cv, atol=1e-6)
        w = fit(scaled, y[:, None], 900.0)[:, 0]
        np.testing.assert_allclose(found["test_prediction"][voxel], scaled_test @ w, atol=1e-5)
        first = scaled_test[:, : x[0].shape[1]] @ w[: x[0].shape[1]]
        np.testing.assert_allclose(found["parts"][0, voxel], first, atol=1e-5)


def unequal_bands(seed=0, n_voxels=40, m=300):
    """Responses to a narrow band alone, beside a wide one that only disturbs."""
    random = np.random.default_rng(seed)
    n = sum(LENGTHS)
    x = random.standard_normal((n + m, 4 + 150)).astype(np.float32)
    stated = random.standard_normal((4, n_voxels)) / 2
    truth = (np.roll(x, 1, 0)[:, :4] @ stated).T
    y = truth + random.standard_normal(truth.shape)
    problem = make_problem(LENGTHS, 154, n_voxels, alphas=np.logspace(-1, 4, 11), delays=DELAYS)
    problem = replace(
        problem, x_train=x[:n], x_test=x[n:], test_lengths=[m], y_train=y[:, :n].astype(np.float32)
    )
    return split(problem, 4), problem, y[:, n:]


def test_a_known_band_is_recovered_better_than_by_joint_ridge():
    bands, joint, y_test = unequal_bands()
    found = joined(solve_banded(bands, samples=15, seed=1))
    banded, single = (
        correlation(prediction.T.astype(np.float64), y_test.T)
        for prediction in (found["test_prediction"], whole(solve_ridge(joint))["test_prediction"])
    )
    assert banded.mean() > single.mean() + 0.1
    assert found["share"][0].mean() > 0.8
    parts = split_r(found["parts"], y_test)
    np.testing.assert_allclose(parts.sum(0), banded, atol=1e-5)
    assert parts[0].mean() > 5 * abs(parts[1].mean())


def test_blocks_and_bad_voxels_change_nothing():
    bands, _, _ = unequal_bands(n_voxels=40)
    y = bands[0].y_train.copy()
    y[3], y[7, 5] = 0.0, np.nan
    bands = [replace(band, y_train=y) for band in bands]
    whole_ = joined(solve_banded(bands, samples=4))
    room = banded_bytes([sizes_of(band) for band in bands], 4, 17) / 1e9
    blocks = list(solve_banded([replace(band, memory_gb=room) for band in bands], samples=4))
    assert len(blocks) == 3
    again = joined(blocks)
    for name, values in whole_.items():
        np.testing.assert_allclose(again[name], values, atol=1e-6, err_msg=name)
    assert np.flatnonzero(~again["valid"]).tolist() == [3, 7]
    assert np.isnan(again["test_prediction"][[3, 7]]).all()
    assert np.isnan(again["share"][:, 3]).all()
    assert np.isfinite(np.delete(again["cv_r"], [3, 7])).all()


def test_too_little_memory_is_reported():
    bands, _, _ = unequal_bands()
    with pytest.raises(ValueError, match=r"0.5 GB are too few for banded ridge of 2 bands"):
        list(solve_banded([replace(band, memory_gb=0.5) for band in bands], samples=3))


def test_candidates():
    found = shares(3, 10, 0)
    assert found.shape == (10, 3)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_array_equal(found[1:4], np.eye(3))
    np.testing.assert_array_equal(found, shares(3, 10, 0))
    assert not np.array_equal(found, shares(3, 10, 1))
    np.testing.assert_allclose(shares(2, 1, 0), 0.5)
