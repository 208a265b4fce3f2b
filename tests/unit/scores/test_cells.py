"""Scores of cells from their files of moments, against direct recomputation from the TRs."""

import numpy as np
import pytest
from simulated_study import write_moments
from textbook import r_within

from voxscale.encoding import MomentsFile
from voxscale.errors import UserError
from voxscale.scores.cells import cell_scores, check_same_test
from voxscale.statistics import block_counts, blocks_of

LENGTHS = {"a": 64, "b": 47}


def simulated(voxels=9, seed=0):
    rng = np.random.default_rng(seed)
    p, y = rng.normal(size=(2, voxels, sum(LENGTHS.values())))
    return 0.02 * p + 0.3, y + 0.4 * p


def test_resampled_scores_are_those_of_the_resampled_trs(tmp_path):
    p, y = simulated()
    p[3] = 0.7  # no prediction: no correlation, and no part in any mean
    blocks = blocks_of(LENGTHS, 10)
    moments = MomentsFile(write_moments(tmp_path / "m.h5", p[None], y, LENGTHS))
    cut = 20
    kept = blocks.kept(cut)
    assert kept.sum() == 5 + 3
    counts = block_counts(kept.sum(), 6, seed=1)
    sets = {"all": np.ones(9, bool), "some": np.arange(9) > 4, "none": np.zeros(9, bool)}
    found = cell_scores(moments, cut, counts, sets)[0]

    edges = np.concatenate([[0], np.cumsum(blocks.n)])
    rows = [np.arange(edges[b], edges[b + 1]) for b in np.flatnonzero(kept)]
    story = blocks.story[kept]
    for i, count in enumerate(counts):
        taken = np.concatenate([np.tile(rows[b], int(count[b])) for b in range(len(rows))])
        lengths = [sum(len(rows[b]) * int(count[b]) for b in np.flatnonzero(story == s)) for s in "ab"]
        r = np.array([r_within(p[v, taken], y[v, taken], lengths) if v != 3 else np.nan for v in range(9)])
        np.testing.assert_allclose(found[i, 0], [np.nanmean(r), np.nanmean(r * abs(r))], atol=2e-6)
        np.testing.assert_allclose(found[i, 1], [r[5:].mean(), (r * abs(r))[5:].mean()], atol=2e-6)
    assert np.isnan(found[:, 2]).all()


def test_sweep_that_shortens_the_test_set_is_refused(tmp_path):
    p, y = simulated()
    one = MomentsFile(write_moments(tmp_path / "one.h5", p[None], y, LENGTHS))
    two = MomentsFile(write_moments(tmp_path / "two.h5", p[None, :, :64], y[:, :64], {"a": 64}))
    check_same_test([one, one])
    with pytest.raises(UserError, match=r"two\.h5: was tested on other TRs than .*one\.h5"):
        check_same_test([one, two])


def test_file_that_holds_no_moments(tmp_path):
    (tmp_path / "x.h5").write_text("half a file")
    with pytest.raises(UserError, match=r"x\.h5: damaged"):
        MomentsFile(tmp_path / "x.h5")
    with pytest.raises(UserError, match="no such file"):
        MomentsFile(tmp_path / "y.h5")
