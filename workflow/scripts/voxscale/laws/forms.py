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


def fit_linear(
    form: LawForm, f: np.ndarray, y: np.ndarray, constants: np.ndarray, ceiling: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best offsets (..., k) and slope of y ≈ constants · offsets + slope · f within a form's bounds, and rss.

    Args:
        f, y: (..., points), which are broadcast against each other.
        constants: (..., points, k) columns, one for each offset.
    """

    def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("...p,...p->...", a, b)

    basis, inverse = np.linalg.qr(constants)[0], np.swapaxes(np.linalg.pinv(constants), -1, -2)
    g, z = (x - (x @ basis) @ np.swapaxes(basis, -1, -2) for x in (f, y))
    size, along = products(g, g), products(g, z)
    slope = along / np.where(size > 0, size, np.inf)
    flat = products(z, z) + np.zeros_like(slope)
    rss = np.maximum(flat - slope * along, 0)
    if form.bounded and not form.constant:
        held = np.clip(slope, 0, ceiling)
        slope, rss = held, rss + (held - slope) ** 2 * size
    elif form.bounded:
        # A plateau above the ceiling is set to it; a law that falls is flat. Both are edges of one convex
        # problem, so the best point of the edges is the optimum whenever the free one lies outside. With
        # several plateaus the first edge is not known, and rss is infinite where one is too high.
        single = constants.shape[-1] == 1
        high = ((y - slope[..., None] * f) @ inverse > ceiling).any(-1)
        outside = (slope < 0) | (high & single)
        flat = np.where((y @ inverse > ceiling).any(-1), np.inf, flat)
        below = y - ceiling * constants.sum(-1)[..., None, :]
        steep = np.maximum(products(f, below) / products(f, f), 0)
        edge = ((below - steep[..., None] * f) ** 2).sum(-1) if single else np.inf
        slope = np.where(outside, np.where(edge < flat, steep, 0), slope)
        rss = np.where(outside, np.minimum(edge, flat), np.where(high, np.inf, rss))
    offsets = (y - slope[..., None] * f) @ inverse
    return np.minimum(offsets, ceiling) if form.bounded and constants.shape[-1] == 1 else offsets, slope, rss


def constants_of(form: LawForm, n: int, families: np.ndarray | None) -> np.ndarray:
    """(points, k) columns of a form's offsets: one for all points, one for each family, or none."""
    labels = np.zeros(n) if families is None else families
    return (labels[:, None] == np.unique(labels)).astype(float)[:, : None if form.constant else 0]


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
    constants = constants_of(form, len(x), families)
    scale, y = np.exp(np.log(x).mean()), y[whole]
    at = _search(form, x / scale, y, constants, ceiling) if len(form.grid) else np.zeros(len(y))
    at = at * scale if form.in_x else at
    offsets, slope, rss[whole] = fit_linear(form, form.basis(x, at), y, constants, ceiling)
    found = [offsets @ constants.mean(0)] * form.constant + [slope] + [at] * bool(len(form.grid))
    parameters[whole] = np.stack(found, -1)
    return parameters, rss


def _search(form: LawForm, u: np.ndarray, y: np.ndarray, constants: np.ndarray, ceiling: float) -> np.ndarray:
    """Best nonlinear parameter of each study: (studies,)."""
    best = fit_linear(form, form.basis(u, form.grid), y[:, None], constants, ceiling)[2].argmin(1)
    low = form.grid[np.maximum(best - 1, 0)]
    high = form.grid[np.minimum(best + 1, len(form.grid) - 1)]

    def rss(at: np.ndarray) -> np.ndarray:
        return fit_linear(form, form.basis(u, at), y, constants, ceiling)[2]

    low, high = golden_section(rss, low, high)
    return high if constants.shape[1] > 1 and form.bounded else (low + high) / 2


def golden_section(
    cost: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Narrow intervals (studies,) around the minimum of each study's cost, which may be at an end."""
    # Each round keeps one of its two inner values for the next.
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    cost_left, cost_right = cost(left), cost(right)
    for _ in range(30):
        better = cost_left < cost_right
        low, high = np.where(better, low, left), np.where(better, right, high)
        new = np.where(better, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        cost_new = cost(new)
        left, right = np.where(better, new, right), np.where(better, left, new)
        cost_left, cost_right = np.where(better, cost_new, cost_right), np.where(better, cost_left, cost_new)
    return low, high


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
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Quantities that all forms share: name -> (rise (studies,), the base (studies,) that it is a share of).

    per_decade: rise over the decade around the middle of the points, in the metric. percent_per_decade: the
    same as a share of the fitted value at the middle. percent_over_range: rise from smallest to largest x, as
    a share of the same.
    """
    at = middle(x)
    decade, whole = (at / np.sqrt(10), at * np.sqrt(10)), (x.min(), x.max())
    base = form.value(np.array([at]), parameters)[..., 0]
    rise, over = (np.diff(form.value(np.array(ends), parameters))[..., 0] for ends in (decade, whole))
    return {
        "per_decade": (rise, None),
        "percent_per_decade": (rise, base),
        "percent_over_range": (over, base),
    }


def middle(x: np.ndarray) -> float:
    """The middle of the points on a logarithmic axis, where percentages have their base."""
    return float(np.sqrt(x.min() * x.max()))


def at_bound(form: LawForm, x: np.ndarray, parameters: np.ndarray, ceiling: float) -> set[str]:
    """Parameters (n,) that are at a bound: the ceiling, a flat law, an end of the values searched."""
    if not np.isfinite(parameters).all():
        return set()
    found = dict(zip(form.parameters, parameters, strict=True))
    at = set()
    if form.bounded and not 0 < found["c"] < ceiling * (1 - 1e-6):
        at.add("c")
    if form.constant and form.bounded and found["a"] <= 0:
        at |= {"a", form.parameters[-1]}
    if len(form.grid):
        last = form.parameters[-1]
        value = found[last] / np.exp(np.log(x).mean()) if last == "k" else found[last]
        near = np.abs(form.grid[[1, -1]] - form.grid[[0, -2]]) / 100
        if value < form.grid[0] + near[0] or value > form.grid[-1] - near[1]:
            at.add(last)
    return at
