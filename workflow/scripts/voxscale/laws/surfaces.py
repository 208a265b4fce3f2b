"""Surfaces r(N, D) of model size N and training hours D, fitted to many resampled studies at once.

    bilinear    a + b·log10 N + c·log10 D + d·log10 N·log10 D
    curve       (a + b·log10 N)·D/(D + k)
    powers      c − a·N^−alpha − b·D^−beta, c at most the noise ceiling

Linear parameters are solved exactly. A single nonlinear one is searched by golden section around the best
value of a grid; two are searched on a grid that is narrowed around the best.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxscale.laws.forms import golden_section

_STEPS = 13  # values of each nonlinear parameter in a round of the search


@dataclass(frozen=True)
class Surface:
    """One form of surface.

    Args:
        name: of the form.
        linear, nonlinear: names of its parameters.
        ranges: (lowest, highest) of each nonlinear parameter, spaced by their logarithm.
        design: (n, d, *nonlinear) -> (..., points, linear) matrices, of nonlinear parameters (..., 1); n and
            d (points,) in units of their geometric means.
        plateau: whether the first column is a plateau, which is at most the ceiling.
    """

    name: str
    linear: tuple[str, ...]
    nonlinear: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    design: Callable[..., np.ndarray]
    plateau: bool = False

    @property
    def n_parameters(self) -> int:
        """Parameters in all."""
        return len(self.linear) + len(self.nonlinear)


def _bilinear(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    n, d = np.log10(n), np.log10(d)
    return np.stack([np.ones_like(n), n, d, n * d], -1)


def _curve(n: np.ndarray, d: np.ndarray, k: np.ndarray) -> np.ndarray:
    share = d / (d + k)
    return np.stack([share, np.log10(n) * share], -1)


def _powers(n: np.ndarray, d: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    size, data = n**-alpha, d**-beta
    return np.stack([np.ones_like(size), -size, -data], -1)


SURFACES: dict[str, Surface] = {
    surface.name: surface
    for surface in (
        Surface("bilinear", ("a", "b", "c", "d"), (), (), _bilinear),
        Surface("curve", ("a", "b"), ("k",), ((1e-3, 1e3),), _curve),
        Surface("powers", ("c", "a", "b"), ("alpha", "beta"), ((0.02, 3), (0.02, 3)), _powers, True),
    )
}


@dataclass(frozen=True)
class FittedSurface:
    """A surface fitted to many studies.

    Args:
        surface: its form.
        scale: geometric means of N and D, the units of its parameters.
        linear: (studies, linear); nonlinear: (studies, nonlinear).
        rss: (studies,).
    """

    surface: Surface
    scale: tuple[float, float]
    linear: np.ndarray
    nonlinear: np.ndarray
    rss: np.ndarray

    def value(self, n: float, d: float) -> np.ndarray:
        """Fitted score at one size and amount of data: (studies,)."""
        at = np.array([n / self.scale[0]]), np.array([d / self.scale[1]])
        if not self.surface.nonlinear:
            return self.linear @ self.surface.design(*at)[0]
        nonlinear = (self.nonlinear[:, i] for i in range(len(self.surface.nonlinear)))
        return (self.linear * self.surface.design(*at, *nonlinear)).sum(-1)

    def at_bound(self, ceiling: float) -> list[str]:
        """Parameters of the first study that are at a bound: the ceiling, or an end of the range searched."""
        values = zip(self.surface.nonlinear, self.nonlinear[0], self.surface.ranges, strict=True)
        found = [name for name, value, (low, high) in values if not 1.001 * low < value < high / 1.001]
        high = self.surface.plateau and self.linear[0, 0] >= ceiling * (1 - 1e-6)
        return [self.surface.linear[0], *found] if high else found


def _solve(designs: np.ndarray, target: np.ndarray, plateau: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Linear parameters (designs, studies, linear), the first at most `plateau`, and rss (designs, studies).

    Of designs (designs, points, linear) and target (points, studies) or (designs, points, studies).
    """

    def project(designs: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        linear = np.linalg.pinv(designs) @ y
        return linear, ((y - designs @ linear) ** 2).sum(1)

    target = np.broadcast_to(target, (len(designs), *target.shape[-2:]))
    linear, rss = project(designs, target)  # (designs, linear, studies), (designs, studies)
    if plateau is not None and (high := linear[:, 0] > plateau).any():
        rest, above = project(designs[:, :, 1:], target - plateau * designs[:, :, :1])
        held = np.concatenate([np.full_like(linear[:, :1], plateau), rest], 1)
        linear, rss = np.where(high[:, None], held, linear), np.where(high, above, rss)
    return np.swapaxes(linear, 1, 2), rss


def fit_surface(
    surface: Surface,
    n: np.ndarray,
    d: np.ndarray,
    y: np.ndarray,
    ceiling: float = 1.0,
    whitening: np.ndarray | None = None,
) -> FittedSurface:
    """Least-squares fit.

    Args:
        n, d: (points,) parameters and hours.
        y: (studies, points), finite.
        ceiling: largest plateau.
        whitening: (points, points) that makes the points' errors independent and of variance 1.
    """
    whiten = np.eye(len(n)) if whitening is None else whitening
    y = y @ whiten.T
    scale = float(np.exp(np.log(n).mean())), float(np.exp(np.log(d).mean()))
    u, v = n / scale[0], d / scale[1]
    plateau = ceiling if surface.plateau else None
    studies = len(y)
    if not surface.nonlinear:
        linear, rss = _solve((whiten @ surface.design(u, v))[None], y.T, plateau)
        return FittedSurface(surface, scale, linear[0], np.empty((studies, 0)), rss[0])
    best = np.full(studies, np.inf)
    linear = np.full((studies, len(surface.linear)), np.nan)
    nonlinear = np.full((studies, len(surface.nonlinear)), np.nan)

    def search(rows: np.ndarray, ranges: list[tuple[float, float]]) -> None:
        cells = np.array(list(itertools.product(*(np.geomspace(low, high, _STEPS) for low, high in ranges))))
        designs = whiten @ surface.design(u, v, *cells.T[..., None])
        found, rss = _solve(designs, y[rows].T, plateau)
        first = rss.argmin(0)
        here = rss[first, np.arange(len(rows))]
        better = here < best[rows]
        linear[rows[better]] = found[first, np.arange(len(rows))][better]
        nonlinear[rows[better]] = cells[first][better]
        best[rows] = np.minimum(best[rows], here)

    search(np.arange(studies), list(surface.ranges))
    span = [(high / low) ** (1 / (_STEPS - 1)) for low, high in surface.ranges]
    if len(span) == 1:

        def solve(log_value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            designs = whiten @ surface.design(u, v, np.exp(log_value)[:, None])
            return _solve(designs, y[..., None], plateau)

        ends = nonlinear[:, 0] / span[0], nonlinear[:, 0] * span[0]
        ends = (np.log(np.clip(end, *surface.ranges[0])) for end in ends)
        at = np.mean(golden_section(lambda log_value: solve(log_value)[1][:, 0], *ends), 0)
        linear, best = solve(at)
        return FittedSurface(surface, scale, linear[:, 0], np.exp(at)[:, None], best[:, 0])
    for _ in range(2):
        # Studies that share a best cell of the grid are refined together.
        for centre in np.unique(nonlinear, axis=0):
            rows = np.flatnonzero((nonlinear == centre).all(1))
            ranges = [
                (max(c / s, low), min(c * s, high))
                for c, s, (low, high) in zip(centre, span, surface.ranges, strict=True)
            ]
            search(rows, ranges)
        span = [s ** (2 / (_STEPS - 1)) for s in span]
    return FittedSurface(surface, scale, linear, nonlinear, best)
