"""Forms that a scaling law can take, and their least-squares fits to many resampled studies at once.

    log_linear      a + b·log10 x
    power           a·x^alpha
    saturating      c − a·x^−alpha      c at most the noise ceiling, a >= 0, alpha > 0
    learning_curve  c·x/(x + k)         c at most the noise ceiling, for amounts of data

Each form has at most one nonlinear parameter. A fit tries a whole grid of its values, solves for the linear
parameters exactly at each, and narrows the grid around the best: this finds the global optimum without a
starting value, so that even four points give it in every resample.

Points may be in families, each with an offset of its own. The law is then the one within families: otherwise,
families that differ in level and in size would make a slope, or hide one (Simpson's paradox).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class LawForm:
    """One form of law: constant + slope · basis(x, nonlinear), of which a form may lack all but the slope.

    Args:
        name: of the form.
        parameters: names of the constant, the slope and the nonlinear parameter, in this order.
        grid: values of the nonlinear parameter, for x divided by its geometric mean; empty if there is none.
        basis: (x, nonlinear (...,)) -> (..., points) the function that the slope multiplies.
        constant: whether a constant is added.
        bounded: whether the plateau is held at or below the ceiling.
        in_x: whether the nonlinear parameter has the unit of x.
    """

    name: str
    parameters: tuple[str, ...]
    grid: np.ndarray
    basis: Callable[[np.ndarray, np.ndarray], np.ndarray]
    constant: bool = False
    bounded: bool = False
    in_x: bool = False

    def value(self, x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """The law at x (points,): parameters (..., n) -> (..., points)."""
        slope = parameters[..., int(self.constant), None] * self.basis(x, parameters[..., -1])
        return slope + parameters[..., :1] if self.constant else slope


_EXPONENTS, _RATES, _HALVES = np.linspace(-2, 2, 81), np.geomspace(0.01, 5, 60), np.geomspace(1e-3, 1e3, 80)
FORMS: dict[str, LawForm] = {
    form.name: form
    for form in (
        LawForm("log_linear", ("a", "b"), np.empty(0), lambda x, _: np.log10(x), constant=True),
        LawForm("power", ("a", "alpha"), _EXPONENTS, lambda x, alpha: x ** alpha[..., None]),
        LawForm(
            "saturating", ("c", "a", "alpha"), _RATES, lambda x, rate: -(x ** -rate[..., None]), True, True
        ),
        LawForm(
            "learning_curve", ("c", "k"), _HALVES, lambda x, k: x / (x + k[..., None]), False, True, True
        ),
    )
}


def _family_means(values: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Means over each family: values (..., points), member (families, points) -> (..., families)."""
    return values @ member.T / member.sum(1)


def _fit_linear(
    form: LawForm, f: np.ndarray, y: np.ndarray, ceiling: float, member: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best offset and slope of y ≈ offset + slope·f, and rss, (...,) each.

    Args:
        f, y: (..., points), which are broadcast against each other.
        member: (families, points), 1 where a point is in a family. The offset is then the mean over points
            of the families' offsets, and rss is infinite where the plateau of a family is too high.
    """
    g, z = (f, y) if member is None else (x - _family_means(x, member) @ member for x in (f, y))
    ff, fy, yy = (np.einsum("...p,...p->...", *pair) for pair in ((g, g), (g, z), (z, z)))
    n, sf, sy = f.shape[-1], g.sum(-1), z.sum(-1)

    def rss_of(offset: np.ndarray | float, slope: np.ndarray | float) -> np.ndarray:
        square = yy + n * offset**2 + slope**2 * ff
        return np.maximum(square + 2 * (offset * slope * sf - offset * sy - slope * fy), 0.0)

    if not form.constant:
        slope = fy / ff
        if form.bounded:
            slope = np.clip(slope, 0.0, ceiling)
        return np.zeros_like(slope), slope, rss_of(0.0, slope)
    slope = (fy - sf * sy / n) / (ff - sf**2 / n)
    offset = (sy - slope * sf) / n
    if form.bounded:
        # A plateau above the ceiling is set to it; a law that falls is flat. Both are edges of one convex
        # problem, so the best point of the edges is the optimum whenever the free one lies outside.
        steep = np.maximum((fy - ceiling * sf) / ff, 0.0)
        flat = np.minimum(sy / n, ceiling) + np.zeros_like(slope)
        edge = rss_of(ceiling, steep) <= rss_of(flat, 0.0)
        outside = (offset > ceiling) | (slope < 0)
        slope = np.where(outside, np.where(edge, steep, 0.0), slope)
        offset = np.where(outside, np.where(edge, ceiling, flat), offset)
    rss = rss_of(offset, slope)
    if member is None:
        return offset, slope, rss
    offsets = _family_means(y, member) - slope[..., None] * _family_means(f, member)
    if form.bounded:
        rss = np.where(offsets.max(-1) > ceiling, np.inf, rss)
    return offsets @ member.sum(1) / len(member.T), slope, rss


def fit_form(
    form: LawForm, x: np.ndarray, y: np.ndarray, ceiling: float = 1.0, families: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares fit of one form to many studies.

    Args:
        x: (points,) above 0, at least as many different values as the form has parameters.
        y: (studies, points).
        ceiling: largest plateau.
        families: (points,) family of each point: each has an offset of its own, and the form's constant is
            their mean over points. Only for forms with a constant.

    Returns:
        parameters (studies, n) in the order of `form.parameters`, and rss (studies,).
        NaN where the points are too few or a study has NaN.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    parameters, rss = np.full((len(y), len(form.parameters)), np.nan), np.full(len(y), np.nan)
    whole = np.isfinite(y).all(1)
    labels = np.zeros(len(x)) if families is None else np.asarray(families)
    within = sum(len(np.unique(x[labels == label])) - 1 for label in np.unique(labels)) + 1
    if within < len(form.parameters) or not whole.any():
        return parameters, rss
    member = None if families is None else (np.unique(labels)[:, None] == labels).astype(float)
    scale, y = np.exp(np.log(x).mean()), y[whole]
    at = _search(form, x / scale, y, ceiling, member) if len(form.grid) else np.zeros(len(y))
    at = at * scale if form.in_x else at
    offset, slope, rss[whole] = _fit_linear(form, form.basis(x, at) + np.zeros_like(y), y, ceiling, member)
    found = [offset] * form.constant + [slope] + [at] * bool(len(form.grid))
    parameters[whole] = np.stack(found, -1)
    return parameters, rss


def _search(
    form: LawForm, u: np.ndarray, y: np.ndarray, ceiling: float, member: np.ndarray | None
) -> np.ndarray:
    """Best nonlinear parameter of each study: (studies,)."""
    best = _fit_linear(form, form.basis(u, form.grid), y[:, None], ceiling, member)[2].argmin(1)
    low = form.grid[np.maximum(best - 1, 0)]
    high = form.grid[np.minimum(best + 1, len(form.grid) - 1)]

    def rss(at: np.ndarray) -> np.ndarray:
        return _fit_linear(form, form.basis(u, at), y, ceiling, member)[2]

    # Golden section: each round keeps one of its two inner values for the next.
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    rss_left, rss_right = rss(left), rss(right)
    for _ in range(30):
        better = rss_left < rss_right
        low, high = np.where(better, low, left), np.where(better, right, high)
        new = np.where(better, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        rss_new = rss(new)
        left, right = np.where(better, new, right), np.where(better, left, new)
        rss_left, rss_right = np.where(better, rss_new, rss_right), np.where(better, rss_left, rss_new)
    return high if member is not None and form.bounded else (low + high) / 2


def family_offsets(
    form: LawForm, x: np.ndarray, y: np.ndarray, parameters: np.ndarray, families: np.ndarray
) -> dict[str, np.ndarray]:
    """How far each family lies above the law: family -> (studies,)."""
    left = y - form.value(x, parameters)
    return {str(name): left[:, families == name].mean(1) for name in np.unique(families)}


def largest_error(
    form: LawForm, x: np.ndarray, y: np.ndarray, ceiling: float = 1.0, families: np.ndarray | None = None
) -> float:
    """Predicted minus observed at the largest x, by a fit to the other points; NaN where too few are left.

    With families it is the largest x of the families that have another point, which gives their offset.
    """
    labels = np.zeros(len(x), int) if families is None else np.unique(families, return_inverse=True)[1]
    several = np.bincount(labels)[labels] > 1
    if not several.any():
        return np.nan
    largest = several & (x == x[several].max())
    rest = None if families is None else families[~largest]
    parameters, _ = fit_form(form, x[~largest], y[None, ~largest], ceiling, rest)
    predicted = form.value(x[largest], parameters)[0]
    if rest is not None:
        known = family_offsets(form, x[~largest], y[None, ~largest], parameters, rest)
        predicted = predicted + [known.get(str(name), [np.nan])[0] for name in families[largest]]
    return float((predicted - y[largest]).mean())


def implied_quantities(
    form: LawForm, x: np.ndarray, parameters: np.ndarray
) -> dict[str, tuple[np.ndarray, str | None]]:
    """Quantities that all forms share: name -> (values (studies,), the base of a percentage).

    per_decade: rise over the first decade from the smallest x, in the metric. percent_per_decade: the same as
    a percentage of the fitted value at the smallest x. percent_over_range: rise from smallest to largest x.
    """
    first, tenfold, last = (form.value(np.array([at]), parameters)[..., 0] for at in stations(x))
    with np.errstate(invalid="ignore", divide="ignore"):
        base = np.where(first > 0, first, np.nan)
        text = f"fitted value at x = {x.min():.4g}"
        return {
            "per_decade": (tenfold - first, None),
            "percent_per_decade": (100 * (tenfold - first) / base, text),
            "percent_over_range": (100 * (last - first) / base, f"{text}, up to x = {x.max():.4g}"),
        }


def stations(x: np.ndarray) -> tuple[float, float, float]:
    """Smallest x, ten times that, and largest x: where percentages are taken."""
    return x.min(), 10 * x.min(), x.max()
