"""Permutation p and false discovery rate against literal loops, scipy, and the nominal error rate."""

import numpy as np
import pytest
from scipy import signal, stats
from simulated_study import smooth

from voxscale.statistics.blocks import centre_stories
from voxscale.statistics.significance import false_discovery, permutation_p, whole_blocks


def test_p_is_that_of_a_literal_loop():
    rng = np.random.default_rng(0)
    lengths, block, skip, n = [47, 36], 5, 7, 60
    x, y = rng.normal(size=(2, 12, sum(lengths)))
    y[:6] += 0.3 * x[:6]
    x[:, 47:] += 5  # the means of the stories have no part in it
    shifted, x, y = x, *(centre_stories(z, lengths, skip) for z in (x, y))
    rows, rest = whole_blocks(lengths, block, skip)
    assert rows.shape == (13, 5)
    assert sorted([*rows.ravel(), *rest]) == [*range(7, 47), *range(54, 83)]
    scored = np.concatenate([rows.ravel(), rest])
    expected = np.empty(12)
    follows = [*[True] * 7, False, *[True] * 4]  # 8 and 5 whole blocks
    for voxel in range(12):
        u, w = ((z - z.mean()) / (z.std() * np.sqrt(len(z))) for z in (x[voxel, scored], y[voxel, scored]))
        first = [[u[5 * b : 5 * b + 5] @ w[5 * c : 5 * c + 5] for c in range(13)] for b in range(13)]
        pairs = [
            (first[b][c], first[b + 1][c + 1])
            for b in range(12)
            for c in range(12)
            if follows[b] and follows[c] and abs(b - c) > 1
        ]
        shared = sum(one * other for one, other in pairs) / sum((a**2 + b**2) / 2 for a, b in pairs)
        wider = np.sqrt(1 + 2 * 11 / 13 * shared)
        mean, fixed = np.sum(first) / 13, u[65:] @ w[65:]
        r = np.corrcoef(x[voxel, scored], y[voxel, scored])[0, 1]
        beyond = 0
        for i in range(n):
            order = np.random.default_rng((3, i)).permutation(len(rows))
            shuffled = np.concatenate([y[voxel, rows[order].ravel()], y[voxel, rest]])
            null = np.corrcoef(x[voxel, scored], shuffled)[0, 1] - fixed
            beyond += mean + wider * (null - mean) + fixed >= r
        expected[voxel] = (beyond + 1) / (n + 1)
    np.testing.assert_allclose(
        permutation_p(shifted, y, lengths, block, skip, n, seed=3), expected, atol=1e-6
    )


def test_p_is_never_zero_and_nan_where_there_is_no_correlation():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(3, 200))
    x = y.copy()
    x[1] = 4.0
    y[2, 3] = np.nan
    p = permutation_p(x, y, [200], 10, 0, 99)
    assert p[0] == np.float32(1 / 100)
    assert np.isnan(p[1:]).all()


@pytest.mark.parametrize("noise", ["haemodynamic", "first-order", "white"])
def test_error_rate_is_nominal(noise):
    """Permuting blocks alone would give 5.5 to 6 % at the nominal 5 % under haemodynamic noise."""
    rng = np.random.default_rng(2)
    white = rng.normal(size=(2, 8000, 250))
    x, y = {
        "haemodynamic": lambda: smooth(white),
        "first-order": lambda: signal.lfilter([1], [1, -0.5], white)[..., 50:],
        "white": lambda: white[..., 50:],
    }[noise]()
    p = permutation_p(x, y, [120, 80], 10, 0, 399)
    for level in (0.01, 0.05, 0.1, 0.5):
        error = np.sqrt(level * (1 - level) / 8000)
        assert abs((p <= level).mean() - level) < 3 * error + 0.02 * level
    assert p.min() >= 1 / 400


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
