"""Scaling laws of a study: forms fitted to the cells' scores, with intervals.

A law over models takes its points at each subject's largest training set; a law over data has one group of
points for each model. Every form is fitted to every resample of the points, see `voxscale.laws.points`.

A law over models has two intervals. One is over test blocks: these models, another test set. The other, which
is the wider and comes first everywhere, also covers other models, drawn anew, which scatter about the law as
these do. A law of data has one interval, over test blocks and training draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from voxscale.io import tables
from voxscale.laws.forms import (
    FORMS,
    LawForm,
    at_bound,
    family_offsets,
    fit_form,
    implied_quantities,
    largest_error,
    middle,
)
from voxscale.laws.likelihood import form_criterion, resampled_covariance
from voxscale.laws.minima import FEWEST, JUDGED, lacking
from voxscale.laws.points import DATA, Point, points_provenance, read_points
from voxscale.laws.pooling import pool
from voxscale.scores import POOLED
from voxscale.statistics import METRICS, interval, reach, spread_lost

_BEYOND = 1.5  # how far a curve is drawn beyond its points
Quantity = tuple[np.ndarray, np.ndarray | None]  # values (1 + resamples,), and their base if they are a share


def fit_group(
    x: np.ndarray,
    y: np.ndarray,
    ceiling: float,
    forms: Sequence[str],
    level: float,
    n_blocks: int,
    families: np.ndarray | None = None,
    over_models: bool = False,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every form fitted to one set of points: rows of parameters and implied quantities, and of its curve.

    Args:
        x: (points,).
        y: (resamples, points), row 0 the real one.
        families: (points,) when each family has an intercept of its own; forms without a constant are left
            out then, and the curve is that of the mean intercept.
        over_models: whether points are models, which may lie off the law: intervals then cover this too.
    """
    rows, curve, judged = [], [], {}
    covariance = resampled_covariance(y[1:], n_blocks)
    drawn = np.geomspace(x.min() / _BEYOND, x.max() * _BEYOND, 40)
    for name in [name for name in forms if families is None or FORMS[name].constant]:
        form = FORMS[name]
        parameters, rss = fit_form(form, x, y, ceiling, families)
        studies = {"test": (y, parameters)}
        if over_models:
            scattered = scatter_models(form, y, rss, level, n_blocks, families)
            studies["models"] = scattered, fit_form(form, x, scattered, ceiling, families)[0]
        criterion = form_criterion(form, x, y[0], covariance, ceiling, families)
        judged[name] = criterion if np.isfinite(rss[0]) else np.nan
        about = {"form": name, "n_points": len(x), "rss": float(rss[0]), "aicc": judged[name]}
        about["largest_error"] = largest_error(form, x, y[0], ceiling, families)
        bound = at_bound(form, x, parameters[0], ceiling)
        found = {kind: _quantities(form, x, *study, families) for kind, study in studies.items()}
        for key, (values, base) in found["test"].items():
            ends = {}
            for kind, quantities in found.items():
                lo, hi = _interval_of(form, quantities[key], level, n_blocks)
                if form.bounded and key in form.parameters:  # an interval ends where the parameter does
                    lo, hi = (lo, min(hi, ceiling)) if key == "c" else (max(lo, 0.0), hi)
                ends[kind] = (
                    (np.nan, np.nan) if key in bound and hi - lo < 1e-9 * abs(hi) + 1e-12 else (lo, hi)
                )
            row = {"parameter": key, "estimate": float(values[0]), "at_bound": key in bound, "base": None}
            row |= dict(zip(("test_lo", "test_hi"), map(float, ends["test"]), strict=True))
            row |= dict(zip(("lo", "hi"), map(float, widest(*ends.values())), strict=True))
            if base is not None:
                with np.errstate(invalid="ignore", divide="ignore"):
                    share = 100 * values[0] / base[0]
                row["estimate"] = float(share) if np.isfinite(row["lo"]) else np.nan
                row["base"] = f"fitted value at x = {middle(x):.4g}, the middle of the points"
            rows.append(about | row)
        curves = [form.value(drawn, fitted) for _, fitted in studies.values()]
        ends = widest(*(interval(values[0], values[1:], level, n_blocks) for values in curves))
        columns = np.stack([drawn, curves[0][0], *ends], 1)
        curve += [{"form": name} | dict(zip(("x", "y", "lo", "hi"), row, strict=True)) for row in columns]
    best = preferred_form(judged) if len(x) >= JUDGED else None
    return [row | {"preferred": row["form"] == best} for row in rows], curve


def scatter_models(
    form: LawForm, y: np.ndarray, rss: np.ndarray, level: float, n_blocks: int, families: np.ndarray | None
) -> np.ndarray:
    """Resamples of other models, which scatter about the law as these do beyond what the test set explains.

    Without test noise, the interval of these resamples is Student's t interval of a regression, with families
    apart where each has an intercept of its own; test noise adds to its width.

    Args:
        y: (1 + resamples, points), row 0 the real one; rss: (1 + resamples,) of the form's fits to them.

    Returns:
        (1 + resamples, points); NaN in the resamples where there are as many parameters as points.
    """
    free = y.shape[1] - len(form.parameters) - (0 if families is None else len(np.unique(families)) - 1)
    if free < 1:
        return np.concatenate([y[:1], np.full_like(y[1:], np.nan)])
    with np.errstate(invalid="ignore"):
        noise = (rss[1:][np.isfinite(rss[1:])].mean() - rss[0]) * spread_lost(n_blocks)
    scatter = np.sqrt(max(rss[0] - max(noise, 0.0), 0.0) / free)
    # As wide as t where `interval` ends; see `draw_weights`.
    wide = special.stdtrit(free, 0.5 + level / 2) / reach(level, n_blocks)
    normal = np.random.default_rng(0).normal(size=y[1:].shape)
    return np.concatenate([y[:1], y[1:] + scatter * wide * normal])


def widest(*intervals: tuple[Any, Any]) -> tuple[Any, Any]:
    """Ends of the interval that holds all of them; NaN if one of them is unknown."""
    lows, highs = zip(*intervals, strict=True)
    return np.min(lows, 0), np.max(highs, 0)


def _quantities(
    form: LawForm, x: np.ndarray, y: np.ndarray, parameters: np.ndarray, families: np.ndarray | None
) -> dict[str, Quantity]:
    """What a fit says: its parameters, what they imply, and how far each family lies above the law."""
    found: dict[str, Quantity] = {key: (parameters[:, i], None) for i, key in enumerate(form.parameters)}
    found |= implied_quantities(form, x, parameters)
    if families is not None:
        offsets = family_offsets(form, x, y, parameters, families)
        found |= {f"offset:{family}": (values, None) for family, values in offsets.items()}
    return found


def _interval_of(form: LawForm, quantity: Quantity, level: float, n_blocks: int) -> tuple[float, float]:
    """Interval of a quantity; a share is in percent.

    A share has no interval, NaN, unless its base lies above 0 with certainty. For forms with a constant, base
    and rise vary separately: the interval holds every t for which rise - t·base may be 0 (Fieller 1954). For
    forms without a constant, their shape alone gives the ratio, which is that of a power law through both
    ends: the interval is that of its exponent.
    """
    values, base = quantity
    if base is None:
        lo, hi = interval(values[0], values[1:], level, n_blocks)
        return float(lo), float(hi)
    if not interval(base[0], base[1:], level, n_blocks)[0] > 0:
        return np.nan, np.nan
    if not form.constant:
        with np.errstate(invalid="ignore", divide="ignore"):
            exponent = np.arcsinh(values / base / 2)
        lo, hi = interval(exponent[0], exponent[1:], level, n_blocks)
        return 200 * np.sinh(max(lo, 0.0) if form.bounded else lo), 200 * np.sinh(hi)
    # Both the covariance and `reach` make up for the spread that resamples lose.
    spread = resampled_covariance(np.stack([values, base], 1)[1:], n_blocks)
    (v_rise, v_both), (_, v_base) = spread * reach(level, n_blocks) ** 2 / spread_lost(n_blocks)
    a, b, c = base[0] ** 2 - v_base, values[0] * base[0] - v_both, values[0] ** 2 - v_rise
    if not a > 0:
        return np.nan, np.nan
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return 100 * (b - root) / a, 100 * (b + root) / a


def preferred_form(criteria: Mapping[str, float]) -> str | None:
    """Form with the smallest AICc; None where none has one.

    Args:
        criteria: form -> AICc; NaN where unknown.
    """
    known = {name: value for name, value in criteria.items() if np.isfinite(value)}
    return min(known, key=known.__getitem__) if known else None


def _law_rows(
    points: Mapping[str, list[Point]],
    lost: Mapping[str, Sequence[str]],
    x: str,
    level: float,
    intercepts: bool = False,
) -> tuple[list[dict], list[dict]]:
    """Rows of `laws` and `law_curves`: by subject, metric, set, group, with and without points of p > n.

    Args:
        lost: set -> what the mean of subjects lacks, and why.
        intercepts: whether each family has its own in the law over all models.
    """
    over_models = x not in DATA
    forms = ["log_linear", "power", "saturating"] + ([] if over_models else ["learning_curve"])
    rows: list[dict] = []
    curves: list[dict] = []
    for about, name, chosen, without in _variants(points, over_models):
        at = np.array([point.x for point in chosen])
        families = np.array([point.about["family"] for point in chosen])
        apart = intercepts and about["group"] == "all" and len(set(families)) > 1
        n_blocks = min(point.n_blocks for point in chosen)
        n_voxels = min(point.n_voxels[name][0] for point in chosen)
        n_models, n_families = len(chosen) if over_models else None, len(set(families)) if apart else 1
        missing = lacking(n_blocks, n_voxels, n_models, n_families)
        without = [*(lost.get(name, []) if about["subject"] == POOLED else []), *without]
        about |= {"voxel_set": name}
        said = {"left_out": "; ".join(without) or None, "lacking": "; ".join(missing) or None}
        for m, metric in enumerate(METRICS):
            y = np.stack([point.y[name][:, m] for point in chosen], 1)
            ceiling = max(point.ceiling[name][m] for point in chosen)
            groups = families if apart else None
            found, curve = fit_group(at, y, ceiling, forms, level, n_blocks, groups, over_models)
            if missing:
                found = [row | {"preferred": False} for row in found]
            rows += [about | {"metric": metric} | said | row for row in found]
            curves += [about | {"metric": metric} | row for row in curve]
    return rows, curves


def split_scored(points: Sequence[Point], name: str) -> tuple[list[Point], list[str]]:
    """Points that have a score over a voxel set, and the others in words."""
    silent = [point for point in points if name in point.y and not point.has(name)]
    return [point for point in points if point.has(name)], [
        f"{point.about['model']} at {point.about['n_train']} stories (no score)" for point in silent
    ]


def _variants(
    points: Mapping[str, list[Point]], over_models: bool
) -> Iterator[tuple[dict[str, str], str, list[Point], list[str]]]:
    """What one law is fitted to: subject, group, kind of points; voxel set; points; those without.

    A group is all models, or a family of several; or a model's sizes of training set. A law is fitted with
    and without the points of p > n.
    """
    for subject, mine in points.items():
        groups: dict[str, list[Point]] = {}
        for point in sorted(mine, key=lambda point: point.x):
            groups.setdefault(point.about["family" if over_models else "model"], []).append(point)
        if over_models:
            groups = {"all": sorted(mine, key=lambda point: point.x)} | (groups if len(groups) > 1 else {})
        for group, members in groups.items():
            for name in dict.fromkeys(name for point in members for name in point.y):
                scored, silent = split_scored(members, name)
                narrow = [point for point in scored if not point.about["wide"]]
                variants = {"all": scored} | ({"narrow": narrow} if len(narrow) < len(scored) else {})
                for variant, chosen in variants.items():
                    if len(chosen) >= FEWEST:
                        yield {"subject": subject, "group": group, "points": variant}, name, chosen, silent


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
                key |= dict(zip(("n_voxels", "n_left_out"), map(int, point.n_voxels[name]), strict=True))
                rows += [
                    key | {"metric": metric, "y": values[0, m], "lo": lo[m], "hi": hi[m]}
                    for m, metric in enumerate(METRICS)
                ]
    return rows


def with_pool(
    points: Mapping[str, list[Point]], spec: Mapping[str, Any], x: str
) -> tuple[dict[str, list[Point]], dict[str, list[str]]]:
    """Points of several subjects and of their mean, and what the mean lacks by voxel set.

    Args:
        spec: see `write_law`.
        x: what the law runs over.
    """
    if len(points) < 2:
        return dict(points), {}
    sizes = {
        subject: {n: spec["stories"][subject] if n == "all" else n for n in spec["n_train"]}
        for subject in (points if x in DATA else ())
    }
    pooled, lost = pool(points, sizes or None)
    return {**points, **({POOLED: pooled} if pooled else {})}, lost


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
        spec: x, voxels and families (`pooled` or `intercepts`) of the config's `laws`; n_draws and n_train of
            its sweep; stories, the number of training stories of each subject; columns, see `read_points`.

    Raises:
        UserError: cells of a subject tested on different TRs, a model without x, an unknown voxel set.
    """
    x, level = spec["x"], settings["interval"]
    points = read_points(cells, moments, summary, voxels, x, spec, f"config key laws.{law}", settings)
    several = len({(cell[0], *cell[2:]) for cell in cells}) < len(set(map(tuple, cells)))
    choice = settings["layer_choice"] if several else "fixed"
    points, lost = with_pool(points, spec, x)
    rows, curves = _law_rows(points, lost, x, level, x not in DATA and spec.get("families") == "intercepts")
    provenance = points_provenance(points, spec, settings, law=law)
    for name, found, path in (
        ("law_points", _point_rows(points, x, choice, level), output_points),
        ("laws", rows, output),
        ("law_curves", curves, output_curves),
    ):
        tables.write(name, [{"law": law} | row for row in found], path, provenance)
