"""Which form of law do points support? Likelihoods of points whose errors are correlated.

The errors of points from one test set are correlated: where a resample raises the score of one model, it
raises that of the next too. The residuals of a fit look smaller and smoother than these errors, and a curved
form follows them. So forms are compared under the points' own covariance, estimated by resampling, plus an
independent scatter of each point, since models lie off any law for reasons other than the test set:

    y ~ N(form, covariance + scatter² · identity)

The scatter is the most likely one for each form, and counts as one of its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from voxscale.laws.forms import LawForm, constants_of, fit_linear
from voxscale.laws.surfaces import Surface, fit_surface
from voxscale.statistics import spread_lost

_SCATTERS = np.geomspace(1e-6, 10, 29)  # scatter², as a share of the points' variance
_COARSE = 4  # only every fourth scatter is tried on a surface, whose fit takes longer
_ROUNDS = 4  # of narrowing the grid of a form's nonlinear parameter


def resampled_covariance(resamples: np.ndarray, n_units: int) -> np.ndarray:
    """Covariance of points from their bootstrap resamples: (points, points).

    Resamples of a quantity fitted to few points can lie far out, so that their variance is large or infinite:
    spreads are those of the middle 68 % of resamples, correlations those of their normal scores.

    Args:
        resamples: (resamples, points); those that are not finite are left out.
        n_units: number of blocks that were resampled, see `voxscale.statistics.interval`.
    """
    known = resamples[np.isfinite(resamples).all(1)]
    if len(known) < 2:
        return np.zeros((resamples.shape[1],) * 2)
    scores = stats.norm.ppf((stats.rankdata(known, axis=0) - 0.5) / len(known))
    low, high = np.quantile(known, stats.norm.cdf([-1, 1]), axis=0)
    spread = (high - low) / 2
    size = np.sqrt((scores**2).sum(0))
    correlation = scores.T @ scores / np.where(size > 0, np.outer(size, size), np.inf)
    return correlation * np.outer(spread, spread) * spread_lost(n_units)


def _whitenings(covariance: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each scatter a matrix (points, points) that makes errors independent with variance 1, and the log
    determinant of the covariance. y gives scatters their scale.
    """
    values, vectors = np.linalg.eigh(covariance)
    scale = max(float(np.trace(covariance)) / len(y), float(np.var(y)), 1e-18)
    variances = np.maximum(values, 0) + scale * _SCATTERS[:, None]
    return vectors.T / np.sqrt(variances)[:, :, None], np.log(variances).sum(1)


def aic(deviance: float, parameters: int) -> float:
    """Akaike's criterion, the scatter counted as a parameter."""
    return float(deviance + 2 * (parameters + 1))


def aicc(deviance: float, points: int, parameters: int) -> float:
    """Akaike's criterion corrected for few points (AICc).

    NaN where the correction is not defined: a form with as many parameters as that cannot be judged by it.
    """
    k = parameters + 1
    if points - k - 1 <= 0 or not np.isfinite(deviance):
        return np.nan
    return aic(deviance, parameters) + 2 * k * (k + 1) / (points - k - 1)


def form_criterion(
    form: LawForm,
    x: np.ndarray,
    y: np.ndarray,
    covariance: np.ndarray,
    ceiling: float = 1.0,
    families: np.ndarray | None = None,
) -> float:
    """AICc of a form.

    Args:
        x: (points,) above 0; y: (points,).
        covariance: (points, points), of `resampled_covariance`.
        ceiling: largest plateau.
        families: (points,) when each family has a constant of its own.
    """
    if not np.isfinite(y).all():
        return np.nan
    constants = constants_of(form, len(x), families)
    whiten, log_determinant = _whitenings(covariance, y)
    u = x / np.exp(np.log(x).mean())

    def deviances(grid: np.ndarray) -> np.ndarray:
        """(scatters, grid)."""
        basis = (form.basis(u, grid) + np.zeros((len(grid), len(x)))) @ np.swapaxes(whiten, 1, 2)
        rss = fit_linear(form, basis, (whiten @ y)[:, None], (whiten @ constants), ceiling)[2]
        return rss + log_determinant[:, None]

    grid = form.grid if len(form.grid) else np.zeros(1)
    for _ in range(_ROUNDS if len(grid) > 1 else 1):
        found = deviances(grid)
        best = found.min(0).argmin()
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 21)
    return aicc(found.min(), len(x), len(form.parameters) - form.constant + constants.shape[1])


def surface_deviance(
    surface: Surface,
    n: np.ndarray,
    d: np.ndarray,
    y: np.ndarray,
    covariance: np.ndarray,
    ceiling: float = 1.0,
) -> float:
    """Least -2 log likelihood of a surface: n, d, y (points,), the rest as for `form_criterion`."""
    whiten, log_determinant = _whitenings(covariance, y)
    deviances = [
        fit_surface(surface, n, d, y[None], ceiling, whitening=each).rss[0] + size
        for each, size in zip(whiten[::_COARSE], log_determinant[::_COARSE], strict=True)
    ]
    return float(min(deviances))


def relative_likelihoods(criteria: Mapping[str, float]) -> dict[str, float]:
    """How likely each form is, relative to the likeliest, which has 1 (Burnham & Anderson 2002).

    Args:
        criteria: form -> AIC.
    """
    least = min(criteria.values())
    return {name: float(np.exp((least - value) / 2)) for name, value in criteria.items()}
