"""Permutation p and false discovery rate against literal loops, scipy, and the nominal error rate."""

import numpy as np
import pytest
from scipy import signal, stats

from voxscale.significance import false_discovery, permutation_p, whole_blocks


def test_p_is_that_of_a_literal_loop():
    rng = np.random.default_rng(0)
    lengths, block, skip, n = [47, 36], 5, 7, 60
    x, y = rng.normal(size=(2, 12, sum(lengths)))
    y[:6] += 0.3 * x[:6]
    rows, rest = whole_blocks(lengths, block, skip)
    assert rows.shape == (13, 5)
    assert sorted([*rows.ravel(), *rest]) == [*range(7, 47), *range(54, 83)]
    scored = np.concatenate([rows.ravel(), rest])
    expected = np.empty(12)
    for voxel in range(12):
        r = np.corrcoef(x[voxel, scored], y[voxel, scored])[0, 1]
        beyond = 0
        for i in range(n):
            order = np.random.default_rng((3, i)).permutation(len(rows))
            shuffled = np.concatenate([y[voxel, rows[order].ravel()], y[voxel, rest]])
            beyond += np.corrcoef(x[voxel, scored], shuffled)[0, 1] >= r
        expected[voxel] = (beyond + 1) / (n + 1)
    np.testing.assert_allclose(permutation_p(x, y, lengths, block, skip, n, seed=3), expected, atol=1e-6)


def test_p_is_never_zero_and_nan_where_there_is_no_correlation():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(3, 200))
    x = y.copy()
    x[1] = 4.0
    y[2, 3] = np.nan
    p = permutation_p(x, y, [200], 10, 0, 99)
    assert p[0] == np.float32(1 / 100)
    assert np.isnan(p[1:]).all()


def test_error_rate_is_nominal_under_autocorrelated_noise():
    rng = np.random.default_rng(2)
    x, y = signal.lfilter([1], [1, -0.5], rng.normal(size=(2, 6000, 330)))[..., 30:]
    p = permutation_p(x, y, [300], 10, 0, 199)
    for level in (0.05, 0.1, 0.5):
        error = np.sqrt(level * (1 - level) / 6000)
        assert abs((p <= level).mean() - level) < 4 * error + 0.15 * level
    assert p.min() >= 1 / 200


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_false_discovery_is_that_of_scipy(share):
    rng = np.random.default_rng(3)
    p = rng.uniform(size=500)
    p[: int(500 * share)] **= 6
    p[:40] = p[40:80]
    np.testing.assert_allclose(false_discovery(p), stats.false_discovery_control(p), rtol=1e-12)
    holed = np.concatenate([p, [np.nan, np.nan]])
    q = false_discovery(holed)
    assert np.isnan(q[-2:]).all()
    np.testing.assert_allclose(q[:-2], stats.false_discovery_control(p), rtol=1e-12)


def test_the_scale_of_predictions_does_not_matter():
    random = np.random.default_rng(0)
    predicted, observed = random.standard_normal((2, 5, 100))
    expected = permutation_p(predicted, observed, [100], permutations=99)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(permutation_p(predicted * 1e-8, observed, [100], permutations=99), expected)
    constant = permutation_p(np.full((5, 100), 1e-8), observed, [100], permutations=99)
    assert np.isnan(constant).all()
