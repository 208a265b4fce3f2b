"""Scaling laws of a study: forms fitted to the cells' scores, intervals by resampling.

A law over models takes its points at each subject's largest training set; a law over data has one group of
points for each model. Every form is fitted to every resample of the points, see `voxscale.laws.points`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.io import tables
from voxscale.laws.forms import (
    FORMS,
    LawForm,
    family_offsets,
    fit_form,
    implied_quantities,
    largest_error,
    stations,
)
from voxscale.laws.likelihood import form_criterion, resampled_covariance
from voxscale.laws.points import DATA, Point, points_provenance, read_points
from voxscale.statistics import METRICS, interval, reach, spread_lost

_BEYOND = 1.5  # how far a curve is drawn beyond its points


def fit_group(
    x: np.ndarray,
    y: np.ndarray,
    ceiling: float,
    forms: Sequence[str],
    level: float,
    n_blocks: int,
    families: np.ndarray | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every form fitted to one set of points: rows of parameters and implied quantities, and of its curve.

    Args:
        x: (points,).
        y: (resamples, points), row 0 the real one.
        families: (points,) when each family has an intercept of its own; forms without a constant are left
            out then, and the curve is that of the mean intercept.
    """
    rows, curve, judged = [], [], {}
    covariance = resampled_covariance(y[1:], n_blocks)
    drawn = np.geomspace(x.min() / _BEYOND, x.max() * _BEYOND, 40)
    first, tenfold, last = stations(x)
    for name in [name for name in forms if families is None or FORMS[name].constant]:
        form = FORMS[name]
        parameters, rss = fit_form(form, x, y, ceiling, families)
        quantities = {key: (parameters[:, i], None) for i, key in enumerate(form.parameters)}
        quantities |= implied_quantities(form, x, parameters)
        if families is not None:
            offsets = family_offsets(form, x, y, parameters, families)
            quantities |= {f"offset:{family}": (values, None) for family, values in offsets.items()}
        criterion = form_criterion(form, x, y[0], covariance, ceiling, families)
        criterion = criterion if np.isfinite(rss[0]) else np.nan
        error = largest_error(form, x, y[0], ceiling, families)
        judged[name] = criterion, abs(error)
        about = {"form": name, "n_points": len(x), "rss": float(rss[0])}
        about |= {"aicc": criterion, "largest_error": error}
        for key, (values, base) in quantities.items():
            if base is None:
                lo, hi = interval(values[0], values[1:], level, n_blocks)
            else:
                later = tenfold if key == "percent_per_decade" else last
                lo, hi = _percent_interval(form, first, later, parameters, level, n_blocks)
            if form.bounded and key in form.parameters:  # an interval ends where the parameter does
                lo, hi = (lo, min(hi, ceiling)) if key == "c" else (max(lo, 0.0), hi)
            row = {"parameter": key, "estimate": float(values[0]), "lo": float(lo), "hi": float(hi)}
            rows.append(about | row | {"base": base})
        values = form.value(drawn, parameters)
        columns = np.stack([drawn, values[0], *interval(values[0], values[1:], level, n_blocks)], 1)
        curve += [{"form": name} | dict(zip(("x", "y", "lo", "hi"), row, strict=True)) for row in columns]
    best = preferred_form(judged)
    return [row | {"preferred": row["form"] == best} for row in rows], curve


def _percent_interval(
    form: LawForm, first: float, later: float, parameters: np.ndarray, level: float, n_blocks: int
) -> tuple[float, float]:
    """Interval of a rise in percent of a base that has an error as well.

    For forms with a constant, base and rise vary separately: the interval holds every t for which
    rise - t·base may be 0 (Fieller 1954), and has no end (inf) where the base may itself be 0. For forms
    without a constant, the shape alone gives the ratio of a later score to the base: the interval is that of
    the logarithm of this ratio.

    Args:
        first, later: x of the base, and x up to which the score rises.
        parameters: (1 + resamples, n), row 0 of the real points.

    Returns:
        lo, hi in percent; NaN where the base is not above 0, or no resample is known.
    """
    base, risen = (form.value(np.array([at]), parameters)[..., 0] for at in (first, later))
    if not base[0] > 0:
        return np.nan, np.nan
    if not form.constant:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.log(risen / base)
        lo, hi = interval(ratio[0], ratio[1:], level, n_blocks)
        if form.bounded:  # a score that is 0 without data grows no faster than the data
            lo, hi = max(lo, 0.0), min(hi, np.log(later / first))
        return 100 * np.expm1(lo), 100 * np.expm1(hi)
    rise = risen - base
    if not np.isfinite(rise[1:]).any():
        return np.nan, np.nan
    # Both the covariance and `reach` make up for the spread that resamples lose.
    spread = resampled_covariance(np.stack([rise, base], 1)[1:], n_blocks)
    (v_rise, v_both), (_, v_base) = spread * reach(level, n_blocks) ** 2 / spread_lost(n_blocks)
    a, b, c = base[0] ** 2 - v_base, rise[0] * base[0] - v_both, rise[0] ** 2 - v_rise
    root = np.sqrt(max(b**2 - a * c, 0.0))
    if a > 0:
        return 100 * (b - root) / a, 100 * (b + root) / a
    if c <= 0:  # the rise may be 0 as well
        return -np.inf, np.inf
    return (100 * c / (b + root), np.inf) if rise[0] > 0 else (-np.inf, 100 * c / (b - root))


def preferred_form(judged: Mapping[str, tuple[float, float]]) -> str | None:
    """Form with the smallest AICc or, if no form has one, the smallest error at the largest point left out.

    Args:
        judged: form -> (AICc, error at the largest point); NaN where unknown.
    """
    for criterion in (0, 1):
        known = {name: value[criterion] for name, value in judged.items() if np.isfinite(value[criterion])}
        if known:
            return min(known, key=known.__getitem__)
    return None


def _law_rows(
    points: Mapping[str, list[Point]], x: str, level: float, intercepts: bool = False
) -> tuple[list[dict], list[dict]]:
    """Rows of `laws` and `law_curves`: by subject, metric, set, group, with and without points of p > n.

    Args:
        intercepts: whether each family has its own in the law over all models.
    """
    forms = ["log_linear", "power", "saturating"] + (["learning_curve"] if x in DATA else [])
    rows: list[dict] = []
    curves: list[dict] = []
    for about, chosen in _variants(points, x not in DATA):
        at = np.array([point.x for point in chosen])
        families = np.array([point.about["family"] for point in chosen])
        apart = intercepts and about["group"] == "all" and len(set(families)) > 1
        for name, (m, metric) in itertools.product(chosen[0].y, enumerate(METRICS)):
            y = np.stack([point.y[name][:, m] for point in chosen], 1)
            ceiling = max(point.ceiling[name][m] for point in chosen)
            found = fit_group(at, y, ceiling, forms, level, chosen[0].n_blocks, families if apart else None)
            for table, new in zip((rows, curves), found, strict=True):
                table += [about | {"metric": metric, "voxel_set": name} | row for row in new]
    return rows, curves


def _variants(
    points: Mapping[str, list[Point]], over_models: bool
) -> Iterator[tuple[dict[str, str], list[Point]]]:
    """What one law is fitted to: its subject, group and points, with and without those of p > n.

    A group is all models, or a family of several; or a model's sizes of training set.
    """
    for subject, mine in points.items():
        groups: dict[str, list[Point]] = {}
        for point in sorted(mine, key=lambda point: point.x):
            groups.setdefault(point.about["family" if over_models else "model"], []).append(point)
        if over_models:
            groups = {"all": sorted(mine, key=lambda point: point.x)} | (groups if len(groups) > 1 else {})
        for group, members in groups.items():
            narrow = [point for point in members if not point.about["wide"]]
            variants = {"all": members} | ({"narrow": narrow} if len(narrow) < len(members) else {})
            for variant, chosen in variants.items():
                if len(chosen) >= 3:  # any line fits two points
                    yield {"subject": subject, "group": group, "points": variant}, chosen


def _point_rows(points: Mapping[str, list[Point]], x: str, layer_choice: str, level: float) -> list[dict]:
    """Rows of table `law_points`."""
    rows = []
    for subject, mine in points.items():
        for point in sorted(mine, key=lambda point: point.x):
            for name, values in point.y.items():
                lo, hi = interval(values[0], values[1:], level, point.n_blocks)
                key = {name: point.about[name] for name in ("model", "layer", "n_train", "n_draws", "wide")}
                group = point.about["model" if x in DATA else "family"]
                key |= {"subject": subject, "voxel_set": name, "group": group}
                key |= {"x": point.x, "x_name": x, "layer_choice": layer_choice}
                rows += [
                    key | {"metric": metric, "y": values[0, m], "lo": lo[m], "hi": hi[m]}
                    for m, metric in enumerate(METRICS)
                ]
    return rows


def write_law(
    law: str,
    cells: Sequence[Sequence[Any]],
    moments: Sequence[str | Path],
    summary: str | Path,
    voxels: str | Path,
    output: str | Path,
    output_points: str | Path,
    output_curves: str | Path,
    spec: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Write tables `laws`, `law_points` and `law_curves` of one law.

    Args:
        law: its name in the config.
        cells, moments, summary, voxels, settings: see `read_points`.
        spec: x, voxels and families (`pooled` or `intercepts`) of the config's `laws`; n_draws of its sweep.

    Raises:
        UserError: cells of a subject tested on different TRs, a model without x, an unknown voxel set.
    """
    x, level = spec["x"], settings["interval"]
    points = read_points(cells, moments, summary, voxels, x, spec, f"config key laws.{law}", settings)
    several = len({(cell[0], *cell[2:]) for cell in cells}) < len(set(map(tuple, cells)))
    choice = settings["layer_choice"] if several else "fixed"
    rows, curves = _law_rows(points, x, level, x not in DATA and spec.get("families") == "intercepts")
    provenance = points_provenance(points, spec, settings, law=law)
    for name, found, path in (
        ("law_points", _point_rows(points, x, choice, level), output_points),
        ("laws", rows, output),
        ("law_curves", curves, output_curves),
    ):
        tables.write(name, [{"law": law} | row for row in found], path, provenance)
