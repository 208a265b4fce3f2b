"""Forms that a scaling law can take, and their least-squares fits to many resampled studies at once.

    log_linear      a + b·log10 x
    power           a·x^alpha
    saturating      c − a·x^−alpha      c at most the noise ceiling, a >= 0, alpha > 0
    learning_curve  c·x/(x + k)         c at most the noise ceiling, for amounts of data

Each form has at most one parameter that is not linear. A fit tries a whole grid of it, solves the linear ones
exactly at each value, and narrows down around the best: the global optimum, with no start to choose, so that
four points are enough for it to be found again in every resample.

Points may be in families, each with an offset of its own, so that the law is that within families: families
that differ in level and in size would else make a slope, or hide one (Simpson's paradox).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Form:
    """One form of law.

    Args:
        name: of the form.
        parameters: names, in the order of a fit's columns.
        grid: values of the nonlinear parameter, for x divided by its geometric mean; empty if there is none.
        basis: (x, nonlinear (...,)) -> (..., points) the function that the slope multiplies.
        constant: whether a constant is added.
        bounded: whether the plateau is held at or below the ceiling.
        rescale: (offset, slope, nonlinear, x scale) -> parameters in the units of x.
        value: (x, parameters (..., n)) -> (..., points).
    """

    name: str
    parameters: tuple[str, ...]
    grid: np.ndarray
    basis: Callable[[np.ndarray, np.ndarray], np.ndarray]
    constant: bool
    bounded: bool
    rescale: Callable[..., list[np.ndarray]]
    value: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _columns(parameters: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(parameters[..., i, None] for i in range(parameters.shape[-1]))


def _saturating(x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    c, a, alpha = _columns(parameters)
    return c - a * x**-alpha


def _power(x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    a, alpha = _columns(parameters)
    return a * x**alpha


def _log_linear(x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    a, b = _columns(parameters)
    return a + b * np.log10(x)


def _learning_curve(x: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    c, k = _columns(parameters)
    return c * x / (x + k)


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form(
            "log_linear",
            ("a", "b"),
            np.empty(0),
            lambda u, _: np.log10(u),
            True,
            False,
            lambda offset, slope, _, scale: [offset - slope * np.log10(scale), slope],
            _log_linear,
        ),
        Form(
            "power",
            ("a", "alpha"),
            np.linspace(-2, 2, 81),
            lambda u, alpha: u ** alpha[..., None],
            False,
            False,
            lambda _, slope, alpha, scale: [slope * scale**-alpha, alpha],
            _power,
        ),
        Form(
            "saturating",
            ("c", "a", "alpha"),
            np.geomspace(0.01, 5, 60),
            lambda u, alpha: -(u ** -alpha[..., None]),
            True,
            True,
            lambda offset, slope, alpha, scale: [offset, slope * scale**alpha, alpha],
            _saturating,
        ),
        Form(
            "learning_curve",
            ("c", "k"),
            np.geomspace(1e-3, 1e3, 80),
            lambda u, k: u / (u + k[..., None]),
            False,
            True,
            lambda _, slope, k, scale: [slope, k * scale],
            _learning_curve,
        ),
    )
}


@dataclass(frozen=True)
class _Families:
    """Families of points: member (families, points), 1 where a point is in a family."""

    member: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> _Families:
        return cls((np.unique(labels)[:, None] == labels).astype(float))

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means over each family: (..., points) -> (..., families)."""
        return values @ self.member.T / self.member.sum(1)

    def within(self, values: np.ndarray) -> np.ndarray:
        """Values (..., points) about the mean of their family."""
        return values - self.means(values) @ self.member

    def offsets(self, f: np.ndarray, y: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Each family's offset beside slope·f: slope of `_each` or `_all`, with one axis more, families."""
        y = self.means(y) if slope.ndim == 1 else self.means(y)[:, None]
        return y - slope[..., None] * self.means(f)


def _each(
    form: Form, f: np.ndarray, y: np.ndarray, ceiling: float, families: _Families | None
) -> tuple[np.ndarray, ...]:
    """Best offset and slope of y ≈ offset + slope·f, and rss, (studies,) each; f, y: (studies, points)."""
    g, z = (f, y) if families is None else (families.within(f), families.within(y))
    yy, sy, fy = np.einsum("sp,sp->s", z, z), z.sum(1), np.einsum("sp,sp->s", g, z)
    return _in_families(form, f, y, _linear(form, g, fy, yy, sy, ceiling), ceiling, families)


def _all(
    form: Form, f: np.ndarray, y: np.ndarray, ceiling: float, families: _Families | None
) -> tuple[np.ndarray, ...]:
    """The same with every f (grid, points) tried on every y (studies, points): (studies, grid) each."""
    g, z = (f, y) if families is None else (families.within(f), families.within(y))
    yy, sy = np.einsum("sp,sp->s", z, z)[:, None], z.sum(1)[:, None]
    return _in_families(form, f, y, _linear(form, g, z @ g.T, yy, sy, ceiling), ceiling, families)


def _in_families(
    form: Form,
    f: np.ndarray,
    y: np.ndarray,
    found: tuple[np.ndarray, ...],
    ceiling: float,
    families: _Families | None,
) -> tuple[np.ndarray, ...]:
    """Offset that is the mean over points, slope and rss; infinite where a family's plateau is too high."""
    if families is None:
        return found
    _, slope, rss = found
    offsets = families.offsets(f, y, slope)
    if form.bounded:
        rss = np.where(offsets.max(-1) > ceiling, np.inf, rss)
    size = families.member.sum(1)
    return offsets @ size / size.sum(), slope, rss


def _linear(
    form: Form, f: np.ndarray, fy: np.ndarray, yy: np.ndarray, sy: np.ndarray, ceiling: float
) -> tuple[np.ndarray, ...]:
    """Offset, slope and rss from sums over points: fy = Σfy, yy = Σy², sy = Σy."""
    n, ff, sf = f.shape[1], np.einsum("gp,gp->g", f, f), f.sum(1)

    def rss(offset: np.ndarray | float, slope: np.ndarray | float) -> np.ndarray:
        square = yy + n * offset**2 + slope**2 * ff
        return np.maximum(square + 2 * (offset * slope * sf - offset * sy - slope * fy), 0.0)

    if not form.constant:
        slope = fy / ff
        if form.bounded:
            slope = np.clip(slope, 0.0, ceiling)
        return np.zeros_like(slope), slope, rss(0.0, slope)
    slope = (fy - sf * sy / n) / (ff - sf**2 / n)
    offset = (sy - slope * sf) / n
    if form.bounded:
        # A plateau above the ceiling goes onto it; a law that falls is flat. Both are edges of one convex
        # problem, so the best point of the edges is the optimum whenever the free one lies outside.
        steep = np.maximum((fy - ceiling * sf) / ff, 0.0)
        flat = np.minimum(sy / n, ceiling) + np.zeros_like(slope)
        edge = rss(ceiling, steep) <= rss(flat, 0.0)
        outside = (offset > ceiling) | (slope < 0)
        slope = np.where(outside, np.where(edge, steep, 0.0), slope)
        offset = np.where(outside, np.where(edge, ceiling, flat), offset)
    return offset, slope, rss(offset, slope)


def fit(
    form: Form, x: np.ndarray, y: np.ndarray, ceiling: float = 1.0, families: np.ndarray | None = None
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
    known = None if families is None else _Families.of(labels)
    scale = np.exp(np.log(x).mean())
    u, y = x / scale, y[whole]
    at = _search(form, u, y, ceiling, known) if len(form.grid) else np.zeros(len(y))
    basis = form.basis(u, at) + np.zeros_like(y)
    offset, slope, rss[whole] = _each(form, basis, y, ceiling, known)
    parameters[whole] = np.stack(form.rescale(offset, slope, at, scale), -1)
    return parameters, rss


def _search(
    form: Form, u: np.ndarray, y: np.ndarray, ceiling: float, families: _Families | None
) -> np.ndarray:
    """Best nonlinear parameter of each study: (studies,)."""
    best = _all(form, form.basis(u, form.grid), y, ceiling, families)[2].argmin(1)
    low = form.grid[np.maximum(best - 1, 0)]
    high = form.grid[np.minimum(best + 1, len(form.grid) - 1)]

    def rss(at: np.ndarray) -> np.ndarray:
        return _each(form, form.basis(u, at), y, ceiling, families)[2]

    # Golden section: each round keeps one of its two inner values for the next.
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    rss_left, rss_right = rss(left), rss(right)
    for _ in range(30):
        better = rss_left < rss_right
        low, high = np.where(better, low, left), np.where(better, right, high)
        new = np.where(better, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        rss_new = rss(new)
        left, right = np.where(better, new, right), np.where(better, left, new)
        rss_left, rss_right = np.where(better, rss_new, rss_right), np.where(better, rss_left, rss_new)
    return high if families is not None and form.bounded else (low + high) / 2


def family_offsets(
    form: Form, x: np.ndarray, y: np.ndarray, parameters: np.ndarray, families: np.ndarray
) -> dict[str, np.ndarray]:
    """How far each family lies above the law: family -> (studies,)."""
    left = y - form.value(x, parameters)
    return {str(name): left[:, families == name].mean(1) for name in np.unique(families)}


def aicc(rss: np.ndarray | float, points: int, parameters: int) -> np.ndarray:
    """Akaike's criterion corrected for few points, the noise variance counted as a parameter: like `rss`.

    NaN where the correction is not defined: a form with as many parameters as that cannot be judged by it.
    """
    k, rss = parameters + 1, np.asarray(rss, float)
    if points - k - 1 <= 0:
        return np.full(rss.shape, np.nan)[()]
    # A perfect fit of rounding size is not better than another perfect fit.
    return points * np.log(np.maximum(rss / points, 1e-20)) + 2 * k + 2 * k * (k + 1) / (points - k - 1)


def largest_error(
    form: Form, x: np.ndarray, y: np.ndarray, ceiling: float = 1.0, families: np.ndarray | None = None
) -> float:
    """Predicted less observed at the largest x, by a fit that has not seen it; NaN where too few are left.

    With families it is the largest x of those that have another point, which tells the offset.
    """
    labels = np.zeros(len(x), int) if families is None else np.unique(families, return_inverse=True)[1]
    several = np.bincount(labels)[labels] > 1
    if not several.any():
        return np.nan
    largest = several & (x == x[several].max())
    rest = None if families is None else families[~largest]
    parameters, _ = fit(form, x[~largest], y[None, ~largest], ceiling, rest)
    predicted = form.value(x[largest], parameters)[0]
    if rest is not None:
        known = family_offsets(form, x[~largest], y[None, ~largest], parameters, rest)
        predicted = predicted + [known.get(str(name), [np.nan])[0] for name in families[largest]]
    return float((predicted - y[largest]).mean())


def implied(form: Form, x: np.ndarray, parameters: np.ndarray) -> dict[str, tuple[np.ndarray, str | None]]:
    """Quantities that all forms share: name -> (values (studies,), what a percentage is of).

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
