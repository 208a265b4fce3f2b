"""Kernels and Gram matrices of delayed features, against the delayed matrix written out."""

import numpy as np
import pytest
import torch
from ridge_oracle import delay

from voxscale.ridge import kernel as module
from voxscale.ridge.kernel import cross_kernel, delayed_kernel, delayed_rows, lagged_gram

LENGTHS, TEST_LENGTHS = [17, 3, 25, 9], [11, 6]
DELAYS = [(1, 2, 3, 4), (0,), (2, 0, 5), (3,), (4, 1)]


@pytest.fixture
def features():
    random = np.random.default_rng(0)
    return random.standard_normal((sum(LENGTHS), 6)), random.standard_normal((sum(TEST_LENGTHS), 6))


@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("rows", [2048, 8, 7])
def test_kernel_without_a_delayed_matrix(features, delays, rows, monkeypatch):
    monkeypatch.setattr(module, "ROWS", rows)
    x, x_test = features
    expected = delay(x, LENGTHS, delays)
    k = delayed_kernel(torch.from_numpy(x), LENGTHS, delays).numpy()
    np.testing.assert_allclose(k, expected @ expected.T, atol=1e-12)
    np.testing.assert_allclose(k, k.T, atol=1e-12)
    k_test = cross_kernel(torch.from_numpy(x_test), TEST_LENGTHS, torch.from_numpy(x), LENGTHS, delays)
    np.testing.assert_allclose(k_test, delay(x_test, TEST_LENGTHS, delays) @ expected.T, atol=1e-12)


@pytest.mark.parametrize("delays", DELAYS)
def test_gram_by_lags(features, delays):
    expected = delay(features[0], LENGTHS, delays)
    gram = lagged_gram(torch.from_numpy(features[0]), LENGTHS, delays)
    np.testing.assert_allclose(gram, expected.T @ expected, atol=1e-12)


def test_delayed_rows(features):
    rows = torch.tensor([0, 2, 3, 17, 18, 20, 53])
    found = delayed_rows(torch.from_numpy(features[0]), LENGTHS, (1, 4), rows)
    np.testing.assert_array_equal(found, delay(features[0], LENGTHS, (1, 4))[rows])


def test_delays_do_not_bleed_from_one_story_into_the_next(features):
    x = features[0].copy()
    k = delayed_kernel(torch.from_numpy(x), LENGTHS, (1, 2, 3, 4))
    x[:17] = 100 * np.random.default_rng(1).standard_normal((17, 6))  # another first story
    again = delayed_kernel(torch.from_numpy(x), LENGTHS, (1, 2, 3, 4))
    assert torch.equal(again[17:, 17:], k[17:, 17:])
    # With the stories taken for one, as was published, it does.
    bleeding = delayed_kernel(torch.from_numpy(x), [sum(LENGTHS)], (1, 2, 3, 4))
    assert not torch.allclose(bleeding[17:, 17:], k[17:, 17:])


def test_nested_sets_are_blocks(features):
    kernel = delayed_kernel(torch.as_tensor(features[0]), LENGTHS, (1, 2))
    rows = np.r_[0:17, 20:45]
    part = delay(features[0][rows], [17, 25], (1, 2))
    np.testing.assert_allclose(kernel[rows][:, rows], part @ part.T, atol=1e-12)
