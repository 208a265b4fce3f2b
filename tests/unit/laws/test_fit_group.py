"""Forms fitted to points: their intervals, percentages, bounds and ceilings."""

import numpy as np
import pytest
from simulated_study import nested

from voxscale.laws.fit import fit_group
from voxscale.laws.points import ceiling_bounds
from voxscale.statistics import block_counts, block_sums, blocks_of, mean_scores

SIZES = np.array([4, 8, 16, 32, 64])


def test_intervals_of_the_slope_cover_it():
    """A small run of what benchmarks/validate_intervals.py does at length."""
    covered = []
    for seed in range(80):
        predicted, observed, factor = nested(SIZES, voxels=12, trs=200, seed=100 + seed)
        blocks = blocks_of({"a": 200}, 10)
        counts = block_counts(len(blocks.n), 150, seed=seed)
        sets = {"all": np.ones(12, bool)}
        y = np.stack(
            [
                mean_scores([(slice(0, 12), block_sums(p, observed, blocks))], blocks, counts, sets)[:, 0, 0]
                for p in predicted
            ],
            1,
        )
        rows, _ = fit_group(SIZES.astype(float), y, 1.0, ["log_linear"], 0.9, len(blocks.n))
        slope = next(row for row in rows if row["parameter"] == "b")
        covered.append(slope["lo"] < 0.08 * factor.mean() < slope["hi"])
    assert 0.8 <= np.mean(covered) <= 0.98


def test_an_interval_ends_where_its_parameter_does():
    x, rng = np.geomspace(1, 100, 6), np.random.default_rng(1)
    y = (0.5 - 0.3 * x**-0.4) + 0.1 * rng.normal(size=(200, 6))
    rows = {row["parameter"]: row for row in fit_group(x, y, 0.6, ["saturating"], 0.9, 12)[0]}
    assert rows["c"]["hi"] <= 0.6
    assert min(rows["a"]["lo"], rows["alpha"]["lo"]) >= 0


def test_a_percentage_of_what_may_be_nothing_is_not_given():
    x, rng = np.geomspace(1, 100, 6), np.random.default_rng(0)
    law, errors = 0.1 * (np.log10(x) - 1), 0.02 * rng.normal(size=(400, 6))
    for base, given in ((0.005, False), (0.5, True)):
        rows, _ = fit_group(x, law + base + errors, 1.0, ["log_linear"], 0.9, 12)
        found = {row["parameter"]: row for row in rows}
        absolute, share = found["per_decade"], found["percent_per_decade"]
        assert absolute["lo"] < 0.1 < absolute["hi"]
        assert np.isfinite([share["estimate"], share["lo"], share["hi"]]).tolist() == [given] * 3
    assert share["lo"] < 20 < share["hi"], "of the fitted value at the middle"


def test_a_percentage_of_nothing_known_is_not_certain():
    x = np.geomspace(1, 100, 6)
    y = np.concatenate([(0.1 + 0.05 * np.log10(x))[None], np.full((20, 6), np.nan)])
    rows, _ = fit_group(x, y, 1.0, ["log_linear"], 0.9, 12)
    (row,) = (row for row in rows if row["parameter"] == "percent_per_decade")
    assert np.isnan([row["lo"], row["hi"]]).all()


def test_a_percentage_says_what_its_shape_says():
    """Without a constant the base cancels: a power law's percentage is that of its exponent."""
    x, rng = np.geomspace(1, 100, 6), np.random.default_rng(1)
    y = 0.05 * x**0.3 + 0.02 * rng.normal(size=(400, 6))
    rows, _ = fit_group(x, y, 1.0, ["power", "learning_curve"], 0.9, 12)
    found = {(row["form"], row["parameter"]): row for row in rows}
    alpha, percent = found["power", "alpha"], found["power", "percent_per_decade"]
    for end in ("lo", "estimate", "hi"):
        expected = 100 * (10 ** (alpha[end] / 2) - 10 ** (-alpha[end] / 2))
        assert percent[end] == pytest.approx(expected, rel=1e-6), "over the decade around the middle"
    curve = found["learning_curve", "percent_per_decade"]
    assert 0 <= curve["lo"] <= curve["estimate"] <= curve["hi"] <= 100 * (10**0.5 - 10**-0.5)


def test_a_dead_voxel_lowers_no_ceiling():
    """A bound on mean scores is of the voxels that these are of."""
    ccmax = np.array([0.8, 0.6, 0.0, np.nan, np.nan])
    sets = {"all": np.ones(5, bool), "dead": np.array([0, 0, 0, 1, 1], bool)}
    bounds = ceiling_bounds(ccmax, sets)
    np.testing.assert_allclose(bounds["all"], [1.4 / 3, 1.0 / 3])
    np.testing.assert_allclose(bounds["dead"], 1)


def test_a_parameter_at_its_bound_is_marked_and_has_no_empty_interval():
    x, rng = np.geomspace(1, 100, 6), np.random.default_rng(1)
    y = 0.1 + 0.2 * np.log10(x) + 0.001 * rng.normal(size=(200, 6))  # still rising at the ceiling
    rows = {row["parameter"]: row for row in fit_group(x, y, 0.55, ["saturating"], 0.9, 30)[0]}
    assert rows["c"]["at_bound"]
    assert rows["c"]["estimate"] == pytest.approx(0.55)
    assert np.isnan([rows["c"]["lo"], rows["c"]["hi"]]).all()
    free = fit_group(x, 0.4 - 0.3 * x**-0.5 + 0 * y, 0.6, ["saturating"], 0.9, 30)[0]
    assert not any(row["at_bound"] for row in free)


@pytest.mark.parametrize("models", [4, 6, 9, 15])
def test_intervals_hold_for_models_drawn_anew(models):
    """Models that lie off a flat law by chance show no slope; the interval over blocks alone says they do."""
    x, rng = np.geomspace(1e8, 1e11, models), np.random.default_rng(models)
    held = {"lo": [], "test_lo": []}
    for _ in range(60):
        scores = 0.2 + 0.005 * rng.normal(size=models)
        tilt = 0.001 * np.log10(x / x.mean())  # what the test set does to the slope
        y = scores + tilt * rng.normal(size=(201, 1)) + 0.0005 * rng.normal(size=(201, models))
        rows, _ = fit_group(x, y, 1.0, ["log_linear"], 0.9, 30, over_models=True)
        (slope,) = (row for row in rows if row["parameter"] == "b")
        held["lo"].append(slope["lo"] < 0 < slope["hi"])
        held["test_lo"].append(slope["test_lo"] < 0 < slope["test_hi"])
    assert np.mean(held["lo"]) > 0.8
    assert np.mean(held["test_lo"]) < np.mean(held["lo"]) - 0.1
