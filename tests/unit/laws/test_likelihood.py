"""Likelihoods of forms under correlated errors: those scipy finds, and the right form wins more often."""

import numpy as np
import pytest
from scipy import optimize, stats
from simulated_study import plain_aicc

from voxscale.laws.forms import FORMS, fit_form
from voxscale.laws.likelihood import form_criterion, resampled_covariance

X = np.geomspace(1e8, 1e11, 9)
TRUTH = {
    "log_linear": [-0.3, 0.05],
    "power": [1e-3, 0.25],
    "saturating": [0.3, 1200.0, 0.45],
    "learning_curve": [0.3, 5e9],
}
WALK = 0.004**2 * np.minimum(*np.meshgrid(range(1, 10), range(1, 10)))  # errors add up from point to point


def points(name, noise):
    return FORMS[name].value(X, np.array(TRUTH[name])) + noise


@pytest.mark.parametrize("name", TRUTH)
def test_points_with_independent_errors_have_the_plain_criterion(name):
    y = points(name, 0.003 * np.random.default_rng(0).normal(size=9))
    for other, form in FORMS.items():
        found = form_criterion(form, X, y, np.zeros((9, 9)))
        plain = plain_aicc(fit_form(form, X, y[None])[1][0], 9, len(form.parameters))
        # They differ by a constant of all forms, 9, and by how finely the scatter is searched.
        assert found - 9 == pytest.approx(plain, abs=0.5), other


@pytest.mark.parametrize("name", ["log_linear", "power", "saturating"])
def test_criterion_is_the_best_likelihood_that_scipy_finds(name):
    form = FORMS[name]
    noise = np.random.default_rng(1).multivariate_normal(np.zeros(9), WALK + 0.002**2 * np.eye(9))
    y, start = points(name, noise), np.array(TRUTH[name])

    def deviance(p):
        covariance = WALK + np.exp(p[-1]) * np.eye(9)
        try:
            return -2 * stats.multivariate_normal.logpdf(y, form.value(X, start * p[:-1]), covariance)
        except (ValueError, np.linalg.LinAlgError):
            return np.inf

    best = min(
        optimize.minimize(
            deviance, [*np.ones(len(start)), scatter], method="Nelder-Mead", options={"maxiter": 8000}
        ).fun
        for scatter in (-16, -12, -10)
    )
    k = len(start) + 1
    expected = best - 9 * np.log(2 * np.pi) + 2 * k + 2 * k * (k + 1) / (9 - k - 1)
    assert form_criterion(form, X, y, WALK) == pytest.approx(expected, abs=0.2)


def test_bounds_are_kept():
    noise = 0.002 * np.random.default_rng(2).normal(size=9)
    y = points("saturating", noise)
    covariance = 1e-6 * np.eye(9)
    free, held = (form_criterion(FORMS["saturating"], X, y, covariance, top) for top in (1.0, 0.27))
    assert held > free + 5, "the plateau of 0.3 may not be reached"
    assert form_criterion(FORMS["learning_curve"], X, y, covariance, 0.2) > free
    falling = form_criterion(FORMS["saturating"], X, y[::-1], covariance)
    flat = form_criterion(FORMS["power"], X, y[::-1], covariance)
    assert falling > flat, "a law that may not fall is no better than a constant"
    families = np.array(list("aaaabbbbb"))
    apart = y + np.where(families == "a", 0.05, 0)
    one, two = (form_criterion(FORMS["saturating"], X, apart, covariance, 1.0, f) for f in (None, families))
    assert two < one - 5
    assert np.isnan(form_criterion(FORMS["saturating"], X[:5], y[:5], covariance[:5, :5])), "too few points"
    assert np.isnan(form_criterion(FORMS["power"], X, np.full(9, np.nan), covariance))


def test_the_right_form_wins_more_often_when_correlated_errors_are_known():
    rng = np.random.default_rng(3)
    wins = {"together": 0, "alone": 0}
    for noise in rng.multivariate_normal(np.zeros(9), WALK, size=100):
        y = points("log_linear", noise)
        together = {name: form_criterion(FORMS[name], X, y, WALK) for name in list(TRUTH)[:3]}
        alone = {
            name: plain_aicc(fit_form(FORMS[name], X, y[None])[1][0], 9, len(FORMS[name].parameters))
            for name in together
        }
        wins["together"] += min(together, key=together.get) == "log_linear"
        wins["alone"] += min(alone, key=alone.get) == "log_linear"
    assert wins["together"] >= 85
    assert wins["together"] > wins["alone"] + 5


def test_covariance_of_resamples_with_tails():
    rng = np.random.default_rng(4)
    truth = np.array([[1, 0.8], [0.8, 2]])
    heavy = rng.multivariate_normal(np.zeros(2), truth, size=4000)
    tails = np.sqrt(2 / rng.chisquare(2, (4000, 1)))  # Student's t of 2 degrees has no variance
    found = resampled_covariance(heavy, 10**6)
    np.testing.assert_allclose(found, truth, rtol=0.08)
    wide = resampled_covariance(heavy * tails, 10**6)
    assert 1 < wide[0, 0] < 2.5, "the middle of Student's t is a little wider than a normal's"
    assert wide[0, 1] / np.sqrt(wide[0, 0] * wide[1, 1]) == pytest.approx(0.8 / np.sqrt(2), abs=0.05)
    assert np.linalg.eigvalsh(wide).min() > 0
    np.testing.assert_allclose(resampled_covariance(heavy, 12), found * 12 / 10, rtol=1e-4)
    np.testing.assert_array_equal(resampled_covariance(np.full((5, 2), np.nan), 9), np.zeros((2, 2)))
