"""Scaling: stories joined in one pass are those scaled one by one."""

import numpy as np

from voxscale.timeseries import PooledScale, join_scaled, zscore


def test_joined_stories_are_each_scaled_by_itself_and_give_their_pooled_scale():
    random = np.random.default_rng(0)
    stories = [(5 + 3 * random.standard_normal((600, trs))).astype(np.float32) for trs in (40, 70, 55)]
    stories[0][3], stories[1][7, 2] = 2.0, np.nan  # constant in one story; one value missing
    joined, pooled = join_scaled(stories)
    np.testing.assert_array_equal(joined, np.concatenate([zscore(story, 1) for story in stories], 1))
    assert (joined[3, :40] == 0).all()
    assert np.isnan(joined[7, 40:110]).all()
    expected = PooledScale.of(stories, 1)
    np.testing.assert_allclose(pooled.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(pooled.deviation, expected.deviation, rtol=1e-12)
