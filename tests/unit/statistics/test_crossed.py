"""Stories held out in turn: chance agreement of two counts twice, and p and intervals allow for it."""

import numpy as np
import pytest

from voxscale.statistics import (
    TimeBlocks,
    block_counts,
    block_sums,
    blocks_of,
    correlations,
    exchanged_r,
    exchanges,
    interval,
    permutation_p,
    standard_rows,
)

STORIES, TRS, WIDTH, VOXELS = 6, 100, 20, 300
LENGTHS = [TRS] * STORIES
BLOCKS = blocks_of({str(i): TRS for i in range(STORIES)}, 10, crossed=True)


def leave_one_out(random, alpha=100.0):
    """Predictions and responses of voxels without signal, each story predicted by ridge from the others."""
    x = random.standard_normal((STORIES, TRS, WIDTH))
    y = random.standard_normal((STORIES, TRS, VOXELS))
    y -= y.mean(1, keepdims=True)
    gram, products = np.swapaxes(x, 1, 2) @ x, np.swapaxes(x, 1, 2) @ y
    ridge = alpha * np.eye(WIDTH)
    p = [
        a @ np.linalg.solve(gram.sum(0) - g + ridge, products.sum(0) - c)
        for a, g, c in zip(x, gram, products, strict=True)
    ]
    p = np.concatenate([standard_rows(one.T, [TRS]) for one in p], 1)
    return p, np.concatenate(y).T


def test_voxels_without_signal_score_zero_within_intervals_and_p_that_hold():
    random, scores, small, alone, held = np.random.default_rng(2), [], [], [], []
    counts = block_counts(len(BLOCKS.n), 200, 1, BLOCKS.inflation)
    for _ in range(6):
        p, y = leave_one_out(random)
        r = correlations(block_sums(p, y, BLOCKS), BLOCKS, counts)
        lo, hi = interval(r[0], r[1:], 0.9, len(BLOCKS.n))
        scores.append(r[0])
        held.append((lo <= 0) & (hi >= 0))
        small.append(permutation_p(p, y, LENGTHS, permutations=199, inflation=BLOCKS.inflation) <= 0.05)
        alone.append(permutation_p(p, y, LENGTHS, permutations=199) <= 0.05)
    assert abs(np.mean(scores)) < 3.5 * np.std(scores) / np.sqrt(np.size(scores))
    assert 0.035 < np.mean(small) < 0.065
    assert np.mean(alone) > 0.09, "by permuted blocks alone p would be too small"
    assert 0.86 < np.mean(held) < 0.94


@pytest.mark.parametrize("n", [2, 3, 5, 7, 9, 13, 14, 60])
def test_half_as_many_blocks_vary_twice_as_much(n):
    values = np.random.default_rng(0).standard_normal((n, 300))
    values -= values.mean(0)
    variance = [(block_counts(n, 3000, 3, times)[1:] / n @ values).var(0).mean() for times in (1, 2)]
    assert variance[1] / variance[0] == pytest.approx(2, rel=0.06)
    np.testing.assert_allclose(block_counts(n, 50, 3, 2).sum(1), n)


def test_differences_of_two_models_vary_more_too():
    p, y = leave_one_out(np.random.default_rng(3))
    sums = [block_sums(x, y, BLOCKS) for x in (p, p[::-1])]
    fixed = TimeBlocks(BLOCKS.n, BLOCKS.story, BLOCKS.start_tr)
    chosen = exchanges(len(BLOCKS.n), 50, 0)
    crossed, alone = (exchanged_r(*sums, blocks, chosen) for blocks in (BLOCKS, fixed))
    np.testing.assert_allclose(crossed[0] - crossed[1], np.sqrt(2) * (alone[0] - alone[1]), atol=1e-12)
    np.testing.assert_allclose(crossed.sum(0), alone.sum(0), atol=1e-12)


def test_standard_rows():
    x = np.random.default_rng(4).standard_normal((3, 50)).astype(np.float32) + 5
    x[1], x[2, 7] = 3.0, np.nan
    found = standard_rows(x, [20, 30], skip=5)
    assert found[0, 5:20].mean() == pytest.approx(0, abs=1e-5)
    assert np.concatenate([found[0, 5:20], found[0, 25:]]).std() == pytest.approx(1, abs=1e-4)
    assert (found[1] == 0).all()
    assert np.isnan(found[2]).all()
