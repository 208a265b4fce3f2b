"""Permutation p and false discovery rate against literal loops, scipy, and the nominal error rate."""

import numpy as np
import pytest
from scipy import signal, stats
from simulated_study import smooth

from voxscale.statistics.blocks import centre_stories
from voxscale.statistics.significance import (
    false_discovery,
    one_block_later,
    permutation_p,
    whole_blocks,
)


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
        wider = np.sqrt(max(1 + 2 * 11 / 13 * shared, 1))
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


def test_few_voxels_among_many_are_found_and_small_p_are_not_too_frequent():
    rng = np.random.default_rng(5)
    x, y = smooth(rng.normal(size=(2, 12_000, 290)))
    x[:20] = 0.8 * y[:20] + 0.6 * x[:20]
    p = permutation_p(x[:2000], y[:2000], [240], 10, 0, 1000)
    assert 0 < p[:20].max() < 1e-4
    assert (false_discovery(p)[:20] <= 0.05).all()
    assert (false_discovery(p)[20:] <= 0.05).sum() <= 4
    for trs in (80, 240):
        null = permutation_p(x[2000:, :trs], y[2000:, :trs], [trs], 10, 0, 500)
        for level in (0.01, 0.003, 0.001):
            assert (null <= level).mean() <= 1.1 * level + 3 * np.sqrt(level / 10_000)


def test_few_blocks_have_no_p():
    x, y = np.random.default_rng(6).normal(size=(2, 4, 70))
    assert np.isfinite(permutation_p(x, y, [70])).all()
    assert np.isnan(permutation_p(x, y, [40, 30], skip=5)).all()
    # The least p is that of the number of orders, however good the prediction.
    assert permutation_p(y, y, [70], permutations=1000)[0] >= 1 / 5040


def test_series_that_last_longer_than_a_block():
    rng = np.random.default_rng(7)
    white = rng.normal(size=(2, 500, 600))
    fast, slow = smooth(white), signal.lfilter([1], [1, -0.95], white)[..., 200:]
    assert abs(one_block_later(*fast, [300, 250], 10, 5).mean()) < 0.02
    assert one_block_later(*slow, [200, 200], 10, 5).mean() > 0.15
    assert abs(one_block_later(fast[0, :, :400], slow[1], [200, 200], 10, 5).mean()) < 0.02
    u, w = (z[3, 5:200] - z[3, 5:200].mean() for z in slow)
    r = [(z[10:] @ z[:-10]) / (z @ z) for z in (u, w)]
    assert one_block_later(*slow[..., :200], [200], 10, 5)[3] == pytest.approx(r[0] * r[1])


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
