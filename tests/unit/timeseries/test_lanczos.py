"""Lanczos resampling against the kernel written out."""

import math

import numpy as np
import pytest

from voxscale.timeseries import lanczos_resample, lanczos_weights


def literal(values, times, targets, lobes, cutoff):
    out = np.zeros((len(targets), values.shape[1]))
    for i, target in enumerate(targets):
        for j, time in enumerate(times):
            t = cutoff * (target - time)
            if t == 0:
                out[i] += values[j]
            elif abs(t) < lobes:
                weight = lobes * math.sin(math.pi * t) * math.sin(math.pi * t / lobes) / (math.pi * t) ** 2
                out[i] += weight * values[j]
    return out


@pytest.mark.parametrize("lobes", [2, 3])
@pytest.mark.parametrize("cutoff", [None, 0.5, 1.3])
def test_equals_a_literal_loop(lobes, cutoff):
    rng = np.random.default_rng(0)
    times = rng.uniform(-3, 45, 90)  # unsorted on purpose
    targets = 2.0 * np.arange(20) - 9
    times[5] = targets[7]  # a word exactly on a TR
    values = rng.normal(size=(90, 4))
    expected = literal(values, times, targets, lobes, cutoff or 0.5)
    np.testing.assert_allclose(lanczos_resample(values, times, targets, lobes, cutoff), expected, atol=1e-12)


def test_keeps_float32_and_its_accuracy():
    rng = np.random.default_rng(1)
    times, targets = np.sort(rng.uniform(0, 60, 200)), 2.0 * np.arange(30)
    values = rng.normal(size=(200, 3)).astype(np.float32)
    out = lanczos_resample(values, times, targets)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, literal(values, times, targets, 3, 0.5), atol=1e-5)


def test_words_beyond_three_lobes_have_no_weight():
    targets = np.array([2.0, 4.0, 16.0, 18.0])
    assert not lanczos_weights(np.array([10.0]), targets, cutoff_hz=0.5).any()


@pytest.mark.parametrize(
    ("times", "targets", "says"),
    [
        ([0.0, np.nan], [0, 2], "not finite"),
        ([0.0, 1.0], [0], "clock"),
        ([0.0], [0, 2], "2 values for 1 times"),
    ],
)
def test_bad_input_is_one_line(times, targets, says):
    with pytest.raises(ValueError, match=says):
        lanczos_resample(np.ones((2, 1)), np.array(times), np.array(targets, float))
