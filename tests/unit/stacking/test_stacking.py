"""Stacks against known mixtures, unique and shared variance against known sources."""

import numpy as np
import pytest
from textbook import r_within

from voxscale.stacking.block import ScoredRows, error_gram, stack_block

VOXELS, TRAIN, TEST = 60, 3000, 900


def rows(skip=20, draws=200):
    return ScoredRows.of({"a": TEST - 300, "b": 300}, skip, 10, draws, 0, 0.9)


def sources(seed=0):
    """Three independent sources of unit variance in training and test: (3, voxels, TRs)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, VOXELS, TRAIN + TEST))


def split(x):
    return x[..., :TRAIN], x[..., TRAIN:]


def test_stack_beats_its_members_where_both_matter_and_finds_the_weights():
    a, b, noise = sources()
    truth = np.where(np.arange(VOXELS) < 30, 0.7, 1.0)
    y = truth[:, None] * a + (1 - truth)[:, None] * b + 0.5 * noise
    oof, test = split(np.array([a, b]))
    columns, weights = stack_block(oof, test, *split(y), ["language", "speech"], rows())
    np.testing.assert_allclose(weights[:, 0], truth, atol=0.06)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert columns["gain"][:30].mean() > 0.05
    assert (columns["gain_lo"][:30] > 0).mean() > 0.9
    assert np.abs(columns["gain"][30:]).max() < 0.02
    assert (columns["best"] == 0).all()
    np.testing.assert_allclose(columns["r_language"], columns["r_best"])
    literal = r_within(weights[0] @ test[:, 0], split(y)[1][0], [TEST - 300, 300], 20)
    assert columns["r_stacked"][0] == pytest.approx(literal, abs=1e-9)
    assert len(rows().rows) == TEST - 40


def test_unique_and_shared_variance_are_those_of_the_sources():
    only_language, only_speech, noise = sources(1)
    both = np.random.default_rng(9).normal(size=only_language.shape)
    y = 1.0 * only_language + 0.5 * only_speech + 0.8 * both + 1.5 * noise
    total = 1 + 0.25 + 0.64 + 2.25
    # Each model predicts its own part and the common one; nothing of the other's.
    oof, test = split(np.array([1.0 * only_language + 0.8 * both, 0.5 * only_speech + 0.8 * both]))
    columns, _ = stack_block(oof, test, *split(y), ["language", "speech"], rows())
    joint = columns["r2_joint"].mean()
    assert joint == pytest.approx(
        columns["unique_language"].mean() + columns["unique_speech"].mean() + columns["shared"].mean()
    )
    # A correlated pair recovers most of its own parts: bounds by the variances that went in.
    assert 1.64 / total < joint < 1.89 / total + 0.02
    assert columns["unique_language"].mean() == pytest.approx(joint - 0.89 / total, abs=0.02)
    assert columns["unique_speech"].mean() == pytest.approx(joint - 1.64 / total, abs=0.02)
    inside = (columns["unique_language_lo"] < joint - 0.89 / total) & (
        joint - 0.89 / total < columns["unique_language_hi"]
    )
    assert 0.75 < inside.mean() <= 1


def test_independent_parts_add_up():
    """What a convex joint model would get wrong: parts of unequal size."""
    a, b, noise = sources(2)
    y = 1.0 * a + 0.4 * b + noise
    oof, test = split(np.array([a, 0.4 * b]))
    columns, _ = stack_block(oof, test, *split(y), ["language", "speech"], rows())
    assert columns["r2_joint"].mean() == pytest.approx(1.16 / 2.16, abs=0.01)
    assert columns["unique_speech"].mean() == pytest.approx(0.16 / 2.16, abs=0.01)
    assert columns["shared"].mean() == pytest.approx(0, abs=0.01)


def test_gain_interval_covers_no_gain():
    """A model, and one of pure noise: nothing is to gain."""
    rng = np.random.default_rng(3)
    a, _, noise = sources(3)
    y = a + 2 * noise
    members = np.array([a, rng.normal(size=a.shape)])
    oof, test = split(members)
    columns, weights = stack_block(oof, test, *split(y), ["language", "speech"], rows())
    assert weights[:, 0].mean() > 0.9
    covered = (columns["gain_lo"] <= 1e-12) & (columns["gain_hi"] >= -1e-12)
    assert covered.mean() > 0.8


def test_voxels_without_data_and_single_modalities():
    a, b, noise = sources(4)
    y = a + noise
    y[3, 7] = np.nan
    oof, test = split(np.array([a, b]))
    columns, weights = stack_block(oof, test, *split(y), ["language", "language"], rows(draws=20))
    assert np.isnan(weights[3]).all()
    assert columns["best"][3] == -1
    assert np.isnan(columns["r_stacked"][3])
    assert np.isnan(columns["r_speech"]).all()
    assert np.isnan(columns["unique_speech"]).all()
    np.testing.assert_allclose(columns["gain"][:3], 0)
    columns, _ = stack_block(oof[1:], test[1:], *split(y), ["speech"], rows(draws=20))
    np.testing.assert_allclose(columns["r_stacked"][:3], columns["r_speech"][:3])


def test_r_of_nearly_flat_predictions():
    own, noise, _ = sources()
    y = own + noise
    known = r_within(own[0, TRAIN:], y[0, TRAIN:], [TEST - 300, 300], 20)
    for size, mean, flat in ((1e-9, 0.0, False), (1e-3, 50.0, False), (1e-9, 50.0, True)):
        members = (mean + size * own[None]).astype(np.float32 if flat else np.float64)
        columns, _ = stack_block(*split(members), *split(y), ["language"], rows(draws=10))
        if flat:
            assert np.isnan(columns["r_language"]).all(), "only the rounding of float32 varies"
        else:
            assert columns["r_language"][0] == pytest.approx(known, abs=1e-6)


def test_error_gram_is_the_literal_one():
    rng = np.random.default_rng(5)
    predicted, observed = rng.normal(size=(3, 4, 50)), rng.normal(size=(4, 50))
    errors = [[observed[v] - predicted[i, v] for i in range(3)] for v in range(4)]
    literal = [[[(a * b).sum() for b in voxel] for a in voxel] for voxel in errors]
    np.testing.assert_allclose(error_gram(predicted, observed), literal)
