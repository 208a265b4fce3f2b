"""Blocks of test TRs and their sums; intervals from resamples against known truth."""

import numpy as np
import pytest

from voxscale.statistics import (
    block_counts,
    block_sums,
    blocks_of,
    correlations,
    interval,
    outer_share,
    require_blocks,
    spread_lost,
)
from voxscale.statistics.intervals import ACROSS

LENGTHS = {"a": 64, "b": 47}


def simulated(voxels=9, seed=0):
    rng = np.random.default_rng(seed)
    p, y = rng.normal(size=(2, voxels, sum(LENGTHS.values())))
    return 0.02 * p + 0.3, y + 0.4 * p


def test_constant_series_has_no_correlation():
    p, y = simulated()
    y[0], p[1], p[2] = 3.0, 1e-3, np.nan
    blocks = blocks_of(LENGTHS, 10)
    sums = block_sums(p, y, blocks).astype(np.float32).astype(np.float64)
    assert np.isnan(correlations(sums, blocks)[0]).tolist() == [True] * 3 + [False] * 6


def test_interval_covers_a_mean_of_few_blocks_at_its_level():
    rng = np.random.default_rng(0)
    studies, n = 1500, 11
    values = rng.normal(size=(studies, n))
    counts = block_counts(n, 400, seed=2)[1:] / n
    lo, hi = interval(values.mean(1), counts @ values.T, 0.9, n)
    covered = ((lo < 0) & (hi > 0)).mean()
    assert abs(covered - 0.9) < 0.03
    plain = np.quantile(counts @ values.T, [0.05, 0.95], axis=0)
    assert ((plain[0] < 0) & (plain[1] > 0)).mean() < 0.87, "what the plain percentiles would do"


@pytest.mark.parametrize("n", [2, 3])
def test_interval_covers_a_mean_of_very_few_blocks(n):
    values = np.random.default_rng(0).normal(size=(1500, n))
    counts = block_counts(n, 400, seed=2)[1:] / n
    lo, hi = interval(values.mean(1), counts @ values.T, 0.9, n)
    assert 0.86 < ((lo < 0) & (hi > 0)).mean() < 0.97, "plain percentiles: 50 % at two blocks"


@pytest.mark.parametrize("numbers", [range(2, 8), range(8, 100, 2), range(9, 100, 2)])
def test_fewer_blocks_reach_further_out(numbers):
    """Drawn one by one, or in runs of two that fill their number or do not."""
    shares = [outer_share(0.9, n) for n in numbers]
    assert shares == sorted(shares)
    assert shares[-1] < 0.05


def test_effective_blocks_are_not_rounded():
    assert spread_lost(10.01) == pytest.approx(spread_lost(10), rel=1e-3)


def test_one_block_has_no_interval():
    assert np.isnan(interval(0.3, np.full(100, 0.3), 0.9, 1)).all()


@pytest.mark.parametrize("n", [9, 10, 15, 16])
def test_resamples_lose_what_is_given_back(n):
    """Of blocks that share nothing: the variance of a mean."""
    values = np.random.default_rng(1).normal(size=(n, 400))
    varied = (
        (block_counts(n, 4000, seed=3)[1:] / n @ values).var(0).mean() * spread_lost(n) * (1 - ACROSS / 2)
    )
    assert varied * n == pytest.approx(1, rel=0.04)


def test_blocks_begin_anew_behind_what_is_skipped():
    blocks = blocks_of({"a": 98, "b": 60}, 10, skip=67)
    assert blocks.start_tr[blocks.story == "a"].tolist() == [0, 10, 20, 30, 40, 50, 60, 67, 77, 87, 97]
    assert blocks.n[blocks.story == "a"].tolist() == [10] * 6 + [7] + [10] * 3 + [1]
    assert blocks.n[blocks.kept(67)].sum() == 98 - 67, "all TRs that scores are of, and no others"
    assert blocks.start_tr[blocks.story == "b"].tolist() == [0, 10, 20, 30, 40, 50]
    assert blocks_of({"a": 95}, 10, 20).same(blocks_of({"a": 95}, 10))


def test_one_block_cannot_be_resampled():
    assert require_blocks(blocks_of({"a": 95}, 10), 60) == 4
    with pytest.raises(ValueError, match="have 1 blocks of TRs after the skipped seconds"):
        require_blocks(blocks_of({"a": 95}, 10), 90)
