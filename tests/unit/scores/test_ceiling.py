"""The noise ceiling against simulated truth, at five and ten repeats, in voxels with and without signal."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import signal

from voxscale.io import tables
from voxscale.scores import ceiling


def simulated(n_repeats, power, voxels, trs=150, seed=0):
    """Repeats (repeats, voxels, trs) of a fixed signal in noise of variance 1, both autocorrelated."""
    rng = np.random.default_rng(seed)
    white = rng.normal(size=(n_repeats + 1, voxels, trs + 50))
    true, *noise = signal.lfilter([np.sqrt(1 - 0.4**2)], [1, -0.4], white)[..., 50:]
    true = (true - true.mean(1, keepdims=True)) / true.std(1, keepdims=True) * np.sqrt(power)
    return true, true + np.array(noise)


@pytest.mark.parametrize("n_repeats", [5, 10])
@pytest.mark.parametrize("power", [0.0, 0.03, 0.5])
def test_signal_power_is_unbiased(n_repeats, power):
    _, repeats = simulated(n_repeats, power, 3000)
    columns = ceiling.ceiling_columns([repeats])
    error = columns["signal_power"].std() / np.sqrt(3000)
    assert abs(columns["signal_power"].mean() - power) < 4 * error
    assert error < 0.001 + power / 100
    share = power / (1 + power)
    assert abs(columns["explainable"].mean() - share) < 0.02


@pytest.mark.parametrize("n_repeats", [5, 10])
def test_ceiling_is_what_a_perfect_model_reaches(n_repeats):
    true, repeats = simulated(n_repeats, 0.3, 800)
    columns = ceiling.ceiling_columns([repeats])
    reached = [np.corrcoef(a, b)[0, 1] for a, b in zip(true, repeats.mean(0), strict=True)]
    assert abs(columns["ccmax"].mean() - np.mean(reached)) < 0.005
    np.testing.assert_allclose(columns["ccmax"].mean(), np.sqrt(0.3 / (0.3 + 1 / n_repeats)), atol=0.01)


@pytest.mark.parametrize("n_repeats", [5, 10])
def test_null_voxels_are_masked_and_never_floored(n_repeats):
    _, repeats = simulated(n_repeats, 0.0, 3000)
    columns = ceiling.ceiling_columns([repeats], level=0.9)
    assert 0.4 < np.isnan(columns["ccmax"]).mean() < 0.6, "about half are undefined"
    assert columns["reliable"].mean() < 0.07, "nominal: 0.05"
    # Which voxels are reliable does not depend on the intervals that are shown.
    wider = ceiling.ceiling_columns([repeats], level=0.5)
    np.testing.assert_array_equal(wider["reliable"], columns["reliable"])
    floored = ceiling.ceiling_columns([repeats], level=0.9, floor=0.25)
    assert floored["ccmax"].min() >= 0.25
    assert floored["reliable"].all()


@pytest.mark.parametrize("n_repeats", [4, 5, 10])
@pytest.mark.parametrize("power", [0.0, 0.1, 1.0])
def test_interval_covers_the_truth(n_repeats, power):
    _, repeats = simulated(n_repeats, power, 3000)
    columns = ceiling.ceiling_columns([repeats], level=0.9)
    truths = {"signal_power": power, "ccmax": np.sqrt(power / (power + 1 / n_repeats))}
    for name in truths if power else ["signal_power"]:  # a ceiling of 0 is the end of its range
        covered = (columns[f"{name}_lo"] <= truths[name]) & (truths[name] <= columns[f"{name}_hi"])
        assert 0.85 < covered.mean() < 0.95, (name, covered.mean())


def test_two_repeats_have_no_interval():
    _, repeats = simulated(2, 1.0, 50)
    columns = ceiling.ceiling_columns([repeats])
    assert np.isnan(columns["signal_power_lo"]).all()
    assert not columns["reliable"].any()


def test_resampling_with_replacement_would_raise_the_signal_power():
    """The trap that the interval avoids: a repeat paired with itself lends its noise to the signal."""
    _, repeats = simulated(5, 0.0, 500)
    rng = np.random.default_rng(1)
    doubled = [
        ceiling.ceiling_columns([repeats[rng.integers(0, 5, 5)]])["signal_power"].mean() for _ in range(40)
    ]
    assert np.mean(doubled) > 0.1
    left = [ceiling.ceiling_columns([np.delete(repeats, i, 0)])["signal_power"].mean() for i in range(5)]
    assert abs(np.mean(left)) < 0.005


def test_two_stories_count_by_their_trs_and_lose_their_means():
    _, repeats = simulated(5, 0.4, 20)
    parts = [repeats[..., :60] + 7, repeats[..., 60:] - 3]
    covariances = ceiling.repeat_covariances(parts)
    expected = np.zeros((20, 5, 5))
    for part in parts:
        expected += [np.cov(part[:, voxel], bias=True) * part.shape[2] for voxel in range(20)]
    np.testing.assert_allclose(covariances, expected / 150, atol=1e-12)


def test_agreement_and_its_drift():
    true, repeats = simulated(6, 1.0, 400)
    fading = true + (repeats - true) * np.linspace(0.5, 2, 6)[:, None, None]
    columns = ceiling.ceiling_columns([fading])
    literal = np.corrcoef(fading[2, 0], np.delete(fading, 2, 0)[:, 0].mean(0))[0, 1]
    np.testing.assert_allclose(columns["agreement"][0, 2], literal, atol=1e-12)
    assert columns["drift"].mean() < -0.05
    assert abs(ceiling.ceiling_columns([repeats])["drift"].mean()) < 0.005


def test_tables_of_a_subject(tmp_path, monkeypatch):
    _, repeats = simulated(5, 0.5, 30, trs=120)
    repeats[:, 3] = 2.0
    repeats[1, 4, 80] = np.nan
    repeats[..., :50] += 100 * np.random.default_rng(5).normal(size=(5, 30, 50))  # the part that is skipped
    subject = SimpleNamespace(
        n_voxels=30,
        voxels=np.arange(100, 130),
        test_stories=["heard_once", "test"],
        n_repeats=lambda story: 5 if story == "test" else 0,
        ceiling_stories=["test"],
        repeats=lambda story, part: repeats[:, part].astype(np.float32),
    )
    monkeypatch.setattr(ceiling, "open_subject", lambda path: subject)
    settings = {"skip_s": 100, "tr_s": 2.0, "floor": None, "interval": 0.9}
    regions = {100 + i: "A" if i < 10 else "B" for i in range(30)}
    paths = tmp_path / "ceiling.parquet", tmp_path / "drift.parquet"
    ceiling.write_ceiling("x", *paths, "UTS01", settings, regions, step=7)
    found = tables.read("ceiling", paths[0]).to_pandas()
    assert found.voxel.tolist() == list(range(100, 130))
    assert found[found.ccmax.isna()].voxel.tolist() == [103, 104]
    assert not found.reliable[3:5].any()
    assert found.reliable.mean() > 0.8
    drift = tables.read("drift", paths[1]).to_pandas()
    assert set(drift.roi) == {"all", "A", "B"}
    assert drift["repeat"].tolist()[:5] == [1, 2, 3, 4, 5]
    assert drift.r.between(0.35, 0.6).all()

    subject.ceiling_stories, subject.n_repeats = [], lambda story: 0
    ceiling.write_ceiling("x", *paths, "UTS01", settings)
    found = tables.read("ceiling", paths[0]).to_pandas()
    assert found.ccmax.isna().all()
    assert not found.reliable.any()
    assert tables.read("drift", paths[1]).num_rows == 0
