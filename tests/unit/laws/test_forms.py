"""Fits against scipy from many starts, against known truth, and on as few as four points."""

import numpy as np
import pytest
from scipy import optimize
from simulated_study import nested, plain_aicc, resampled

from voxscale.laws.forms import FORMS, family_offsets, fit_form, implied_quantities, largest_error
from voxscale.laws.likelihood import form_criterion, resampled_covariance

SIZES = np.array([1.25e8, 3.5e8, 1.3e9, 2.7e9, 6.7e9, 1.3e10, 3e10])
HOURS = np.array([0.5, 1, 2, 4, 8, 16])
TRUTH = {
    "log_linear": (SIZES, [-0.05, 0.015]),
    "power": (SIZES, [0.004, 0.15]),
    "saturating": (SIZES, [0.16, 60.0, 0.36]),
    "learning_curve": (HOURS, [0.2, 3.0]),
}


@pytest.mark.parametrize("name", TRUTH)
def test_exact_data_give_back_their_parameters(name):
    x, parameters = TRUTH[name]
    form = FORMS[name]
    y = form.value(x, np.array(parameters))
    found, rss = fit_form(form, x, y[None], ceiling=0.5)
    np.testing.assert_allclose(found[0], parameters, rtol=1e-4)
    assert rss[0] < 1e-12


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("points", [4, None])
def test_no_start_of_scipy_finds_a_better_fit(name, points):
    x, parameters = TRUTH[name]
    x, form = x[:points], FORMS[name]
    rng = np.random.default_rng(1)
    y = form.value(x, np.array(parameters)) + 0.008 * rng.normal(size=(6, len(x)))
    ceiling = 0.2
    _, rss = fit_form(form, x, y, ceiling)
    scale = np.exp(np.log(x).mean())
    low = {"a": -np.inf, "b": -np.inf, "c": -np.inf, "alpha": -2, "k": 1e-3}
    high = {"a": np.inf, "b": np.inf, "c": np.inf, "alpha": 2, "k": 1e3}
    if form.bounded:
        high |= {"c": ceiling, "alpha": 5}
        low |= {"c": 0 if name == "learning_curve" else -np.inf, "a": 0, "alpha": 0.01}
    bounds = [low[p] for p in form.parameters], [high[p] for p in form.parameters]
    for study, found in zip(y, rss, strict=True):
        best = np.inf
        for _ in range(20):
            start = np.clip(rng.uniform(0.02, 1.5, len(form.parameters)), *bounds)
            start = np.minimum(start, np.array(bounds[1]) - 1e-3)
            result = optimize.least_squares(
                lambda p, study=study: form.value(x / scale, p) - study, start, bounds=bounds
            )
            best = min(best, 2 * result.cost)
        assert found <= best * (1 + 1e-5) + 1e-12


@pytest.mark.parametrize("name", ["log_linear", "power", "saturating"])
def test_right_form_wins(name):
    x = np.geomspace(1e8, 1e11, 9)
    truth = {"log_linear": [-0.3, 0.05], "power": [1e-3, 0.25], "saturating": [0.3, 1200.0, 0.45]}
    form = FORMS[name]
    rng = np.random.default_rng(2)
    wins = 0
    for _ in range(40):
        y = form.value(x, np.array(truth[name])) + 0.003 * rng.normal(size=9)
        scores = {
            other: plain_aicc(fit_form(FORMS[other], x, y[None])[1][0], 9, len(FORMS[other].parameters))
            for other in ("log_linear", "power", "saturating")
        }
        wins += min(scores, key=scores.get) == name
    assert wins >= 34


def test_largest_point_left_out_tells_a_plateau_from_a_line():
    x = np.geomspace(1e8, 1e11, 8)
    y = FORMS["saturating"].value(x, np.array([0.3, 1200.0, 0.45]))
    errors = {name: abs(largest_error(FORMS[name], x, y)) for name in ("log_linear", "power", "saturating")}
    assert min(errors, key=errors.get) == "saturating"
    assert largest_error(FORMS["log_linear"], x, y) > 0.02, "a line overshoots a plateau"


def test_few_points_and_holes_fail_softly():
    x = SIZES[:4]
    y = np.array([[0.1, 0.12, 0.13, 0.15], [0.1, np.nan, 0.1, 0.2], [0.1, 0.1, 0.1, 0.1]])
    for form in FORMS.values():
        parameters, rss = fit_form(form, x, y)
        assert np.isfinite(rss[[0, 2]]).all()
        assert np.isnan(rss[1])
        assert np.isnan(parameters[1, 0])
        assert np.isnan(fit_form(form, x[:1], y[:1, :1])[1]).all()
    assert np.isnan(plain_aicc(0.1, 4, 2)), "with four points the correction divides by zero"
    assert np.isfinite(plain_aicc(0.1, 5, 2))
    assert np.isnan(largest_error(FORMS["saturating"], x[:3], y[0, :3]))


def test_plateau_stays_at_or_below_the_ceiling():
    y = FORMS["log_linear"].value(SIZES, np.array([-0.5, 0.08]))
    for name in ("saturating", "learning_curve"):
        parameters, _ = fit_form(FORMS[name], SIZES, np.array([y, y + 0.1]), ceiling=0.35)
        assert (parameters[:, 0] <= 0.35 + 1e-12).all()


def test_percentages_are_of_the_fitted_value_at_the_middle():
    found = implied_quantities(FORMS["log_linear"], SIZES, np.array([[-0.1, 0.02]]))
    at = np.log10(SIZES[[0, -1]]).mean()
    assert found["per_decade"][0][0] == pytest.approx(0.02)
    for name, decades in (("percent_per_decade", 1), ("percent_over_range", np.log10(240))):
        rise, base = found[name]
        assert (rise[0], base[0]) == pytest.approx((0.02 * decades, -0.1 + 0.02 * at))


@pytest.mark.parametrize("name", ["log_linear", "power", "saturating"])
def test_right_form_wins_in_studies(name):
    """From responses, not from points with noise: a small run of benchmarks/validate_intervals.py."""
    x = np.geomspace(1e8, 1e11, 9)
    truth = {"log_linear": [-0.6, 0.09], "power": [2.5e-4, 0.3], "saturating": [0.45, 450.0, 0.4]}
    wins = 0
    for seed in range(12):
        predicted, observed, _ = nested(
            x, trs=1000, law=lambda at: FORMS[name].value(at, np.array(truth[name])), seed=seed
        )
        y = resampled(predicted, observed, seed)[:, :, 0]
        covariance = resampled_covariance(y[1:], 100)
        criteria = {f: form_criterion(FORMS[f], x, y[0], covariance) for f in truth}
        wins += min(criteria, key=criteria.get) == name
    assert wins >= 9


FAMILIES = np.array(["a", "a", "a", "b", "b", "b", "c"])
IN_FAMILIES = np.array([1e7, 3e7, 1e8, 1e8, 4e8, 1e9, 1e9])
LEVELS = np.array([0.1] * 3 + [-0.06] * 3 + [0.2])


def test_families_at_different_levels_do_not_make_a_slope():
    """Simpson's paradox: the law within families rises, the points of all of them fall."""
    form = FORMS["log_linear"]
    y = (0.02 * np.log10(IN_FAMILIES) + LEVELS)[None, :6]
    x, families = IN_FAMILIES[:6], FAMILIES[:6]
    assert fit_form(form, x, y)[0][0, 1] < 0
    parameters, rss = fit_form(form, x, y, families=families)
    assert parameters[0, 1] == pytest.approx(0.02)
    assert parameters[0, 0] == pytest.approx(LEVELS[:6].mean())
    assert rss[0] < 1e-20
    offsets = family_offsets(form, x, y, parameters, families)
    assert offsets["a"][0] == pytest.approx(0.08)
    assert offsets["b"][0] == pytest.approx(-0.08)
    assert largest_error(form, x, y[0], families=families) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["log_linear", "saturating"])
def test_families_are_what_a_column_for_each_makes(name):
    form = FORMS[name]
    rng = np.random.default_rng(5)
    y = 0.5 - 20 * IN_FAMILIES**-0.3 + LEVELS + 0.004 * rng.normal(size=(5, 7))
    _, rss = fit_form(form, IN_FAMILIES, y, 2.0, FAMILIES)
    member = (np.unique(FAMILIES)[:, None] == FAMILIES).astype(float)
    for study, found in zip(y, rss, strict=True):
        best = np.inf
        for alpha in np.linspace(0.01, 5, 3000) if name == "saturating" else [0]:
            design = np.column_stack(
                [*member, form.basis(IN_FAMILIES / 1e8, np.array([alpha]))[..., :].ravel()]
            )
            weights, *_ = np.linalg.lstsq(design, study, rcond=None)
            allowed = name == "log_linear" or (weights[:3].max() <= 2.0 and weights[3] >= 0)
            best = min(best, ((design @ weights - study) ** 2).sum() if allowed else np.inf)
        assert found == pytest.approx(best, rel=1e-3, abs=1e-9)


def test_families_of_one_point_tell_no_slope():
    y = np.array([[0.1, 0.2, 0.3]])
    parameters, _ = fit_form(FORMS["log_linear"], SIZES[:3], y, families=np.array(["a", "b", "c"]))
    assert np.isnan(parameters).all()
    assert np.isnan(largest_error(FORMS["log_linear"], SIZES[:3], y[0], families=np.array(["a", "b", "c"])))
