"""Scores from block sums against direct recomputation from the TRs; intervals against known truth."""

import h5py
import numpy as np
import pytest

from voxscale.errors import UserError
from voxscale.statistics.bootstrap import (
    ACROSS,
    Moments,
    block_counts,
    block_sums,
    blocks_of,
    cell_scores,
    check_same_test,
    correlations,
    interval,
    outer_share,
    spread_lost,
)

LENGTHS = {"a": 64, "b": 47}


def simulated(voxels=9, seed=0):
    rng = np.random.default_rng(seed)
    p, y = rng.normal(size=(2, voxels, sum(LENGTHS.values())))
    return 0.02 * p + 0.3, y + 0.4 * p


def stored(path, sums, blocks):
    with h5py.File(path, "w") as file:
        file["moments"] = sums.astype(np.float32)
        file["voxel"] = np.arange(sums.shape[-1])
        file["n"], file["start_tr"] = blocks.n, blocks.start_tr
        file.create_dataset("story", data=[str(s) for s in blocks.story], dtype=h5py.string_dtype())
    return Moments(path)


def test_resampled_scores_are_those_of_the_resampled_trs(tmp_path):
    p, y = simulated()
    p[3] = 0.7  # no prediction: no correlation, and no part in any mean
    blocks = blocks_of(LENGTHS, 10)
    moments = stored(tmp_path / "m.h5", block_sums(p, y, blocks)[None], blocks)
    cut = 20
    kept = blocks.kept(cut)
    assert kept.sum() == 5 + 3
    counts = block_counts(kept.sum(), 6, seed=1)
    sets = {"all": np.ones(9, bool), "some": np.arange(9) > 4, "none": np.zeros(9, bool)}
    found = cell_scores(moments, cut, counts, sets)[0]

    edges = np.concatenate([[0], np.cumsum(blocks.n)])
    rows = [np.arange(edges[b], edges[b + 1]) for b in np.flatnonzero(kept)]
    for i, count in enumerate(counts):
        taken = np.concatenate([np.tile(rows[b], int(count[b])) for b in range(len(rows))])
        r = np.array([np.corrcoef(p[v, taken], y[v, taken])[0, 1] if v != 3 else np.nan for v in range(9)])
        np.testing.assert_allclose(found[i, 0], [np.nanmean(r), np.nanmean(r * abs(r))], atol=2e-6)
        np.testing.assert_allclose(found[i, 1], [r[5:].mean(), (r * abs(r))[5:].mean()], atol=2e-6)
    assert np.isnan(found[:, 2]).all()


def test_constant_series_has_no_correlation():
    p, y = simulated()
    y[0], p[1], p[2] = 3.0, 1e-3, np.nan
    blocks = blocks_of(LENGTHS, 10)
    sums = block_sums(p, y, blocks).astype(np.float32).astype(np.float64)
    assert np.isnan(correlations(sums.sum(0), blocks.n.sum())).tolist() == [True] * 3 + [False] * 6


def test_sweep_that_shortens_the_test_set_is_refused(tmp_path):
    p, y = simulated()
    blocks, fewer = blocks_of(LENGTHS, 10), blocks_of({"a": 64}, 10)
    one = stored(tmp_path / "one.h5", block_sums(p, y, blocks)[None], blocks)
    two = stored(tmp_path / "two.h5", block_sums(p[:, :64], y[:, :64], fewer)[None], fewer)
    check_same_test([one, one])
    with pytest.raises(UserError, match=r"two\.h5: was tested on other TRs than .*one\.h5"):
        check_same_test([one, two])


def test_file_that_holds_no_moments(tmp_path):
    (tmp_path / "x.h5").write_text("half a file")
    with pytest.raises(UserError, match="holds no moments"):
        Moments(tmp_path / "x.h5")
    with pytest.raises(UserError, match="no such file"):
        Moments(tmp_path / "y.h5")


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
    assert 0.86 < ((lo < 0) & (hi > 0)).mean() < 0.97, "no resample strays as far: 50 % at two blocks"


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
