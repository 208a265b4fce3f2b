"""Scaling laws of a study: forms fitted to the cells' scores, intervals by resampling.

A law over models takes its points at each subject's largest training set; a law over data has one group of
points for each model. Every form is fitted anew to every resample of the points, see `law_points`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.io import tables
from voxscale.laws.forms import FORMS, Form, family_offsets, fit, implied, largest_error, stations
from voxscale.laws.likelihood import form_criterion, resampled_covariance
from voxscale.laws.points import DATA, Point, blocks_by_subject, choose_cells, describe_cells, read_points
from voxscale.provenance import collect
from voxscale.statistics import METRICS, interval, reach, spread_lost

BEYOND = 1.5  # how far a curve is drawn beyond its points


def groups_of(points: Sequence[Point], over_models: bool) -> dict[str, list[Point]]:
    """Points that share one law: all models and each family; or each model's sizes of training set."""
    groups: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: point.x):
        groups.setdefault(point.about["family" if over_models else "model"], []).append(point)
    if not over_models:
        return groups
    families = {name: mine for name, mine in groups.items() if len(groups) > 1 and len(mine) >= 3}
    return {"all": sorted(points, key=lambda point: point.x)} | families


def fit_group(
    x: np.ndarray,
    y: np.ndarray,
    ceiling: float,
    forms: Sequence[str],
    level: float,
    n_blocks: int,
    families: np.ndarray | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every form fitted to one set of points: rows of parameters and what they imply, and rows of its curve.

    Args:
        x: (points,).
        y: (resamples, points), row 0 the real one.
        families: (points,) when each family has an intercept of its own; forms without a constant are left
            out then, and the curve is that of the mean intercept.
    """
    rows, curve, judged = [], [], {}
    covariance = resampled_covariance(y[1:], n_blocks)
    drawn = np.geomspace(x.min() / BEYOND, x.max() * BEYOND, 40)
    for name in [name for name in forms if families is None or FORMS[name].constant]:
        form = FORMS[name]
        parameters, rss = fit(form, x, y, ceiling, families)
        quantities = {key: (parameters[:, i], None) for i, key in enumerate(form.parameters)}
        quantities |= implied(form, x, parameters)
        if families is not None:
            offsets = family_offsets(form, x, y, parameters, families)
            quantities |= {f"offset:{family}": (values, None) for family, values in offsets.items()}
        criterion = form_criterion(form, x, y[0], covariance, ceiling, families)
        criterion = criterion if np.isfinite(rss[0]) else np.nan
        error = largest_error(form, x, y[0], ceiling, families)
        judged[name] = criterion, abs(error)
        for key, (values, base) in quantities.items():
            if base is None:
                lo, hi = interval(values[0], values[1:], level, n_blocks)
            else:
                first, tenfold, last = stations(x)
                later = tenfold if key == "percent_per_decade" else last
                lo, hi = percent_interval(form, first, later, parameters, level, n_blocks)
            if form.bounded and key in form.parameters:  # an interval ends where the parameter does
                lo, hi = (lo, min(hi, ceiling)) if key == "c" else (max(lo, 0.0), hi)
            rows.append(
                {
                    "form": name,
                    "parameter": key,
                    "estimate": float(values[0]),
                    "lo": float(lo),
                    "hi": float(hi),
                    "base": base,
                    "n_points": len(x),
                    "rss": float(rss[0]),
                    "aicc": criterion,
                    "largest_error": error,
                }
            )
        values = form.value(drawn, parameters)
        lo, hi = interval(values[0], values[1:], level, n_blocks)
        columns = zip(drawn.tolist(), values[0].tolist(), lo.tolist(), hi.tolist(), strict=True)
        curve += [{"form": name, **dict(zip(("x", "y", "lo", "hi"), row, strict=True))} for row in columns]
    best = preferred(judged)
    return [row | {"preferred": row["form"] == best} for row in rows], curve


def percent_interval(
    form: Form, first: float, later: float, parameters: np.ndarray, level: float, n_blocks: int
) -> tuple[float, float]:
    """Interval of a rise in percent of a base that errs as well.

    Where a constant is added, base and rise are two things: it holds every t for which rise - t·base may be
    0 (Fieller 1954), and a base that may itself be 0 leaves it without an end: inf. Without a constant the
    shape alone says how often the base fits into a later score: it is that of their ratio's logarithm.

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
        if form.bounded:  # a score that starts from 0 at no data grows no faster than the data
            lo, hi = max(lo, 0.0), min(hi, np.log(later / first))
        return 100 * np.expm1(lo), 100 * np.expm1(hi)
    rise = risen - base
    if not np.isfinite(rise[1:]).any():
        return np.nan, np.nan
    # The covariance holds what resamples lose, and `reach` does so too.
    spread = resampled_covariance(np.stack([rise, base], 1)[1:], n_blocks)
    (v_rise, v_both), (_, v_base) = spread * reach(level, n_blocks) ** 2 / spread_lost(n_blocks)
    a, b, c = base[0] ** 2 - v_base, rise[0] * base[0] - v_both, rise[0] ** 2 - v_rise
    root = np.sqrt(max(b**2 - a * c, 0.0))
    if a > 0:
        return 100 * (b - root) / a, 100 * (b + root) / a
    if c <= 0:  # the rise may be 0 as well
        return -np.inf, np.inf
    return (100 * c / (b + root), np.inf) if rise[0] > 0 else (-np.inf, 100 * c / (b - root))


def preferred(judged: Mapping[str, tuple[float, float]]) -> str | None:
    """Form with the least AICc; where no form has one, with the least error at the largest point left out."""
    for criterion in (0, 1):
        known = {name: value[criterion] for name, value in judged.items() if np.isfinite(value[criterion])}
        if known:
            return min(known, key=known.__getitem__)
    return None


def fit_laws(
    law: str, points: Mapping[str, list[Point]], x: str, level: float, intercepts: bool = False
) -> tuple[list[dict], list[dict]]:
    """Rows of `laws` and `law_curves`: by subject, metric, set, group, with and without points of p > n.

    Args:
        intercepts: whether each family has its own in the law over all models.
    """
    forms = ["log_linear", "power", "saturating"] + (["learning_curve"] if x in DATA else [])
    rows: list[dict] = []
    curves: list[dict] = []
    for subject, mine in points.items():
        for group, members in groups_of(mine, x not in DATA).items():
            narrow = [point for point in members if not point.about["wide"]]
            variants = {"all": members} | ({"narrow": narrow} if 3 <= len(narrow) < len(members) else {})
            for variant, chosen in variants.items():
                if len(chosen) < 3:
                    continue  # two points are on every line
                at = np.array([point.x for point in chosen])
                family = np.array([point.about["family"] for point in chosen])
                apart = intercepts and group == "all" and len(set(family)) > 1
                for name in chosen[0].y:
                    for m, metric in enumerate(METRICS):
                        y = np.stack([point.y[name][:, m] for point in chosen], 1)
                        ceiling = max(point.ceiling[name][m] for point in chosen)
                        key = {"law": law, "subject": subject, "metric": metric, "voxel_set": name}
                        key |= {"group": group, "points": variant}
                        families = family if apart else None
                        blocks = chosen[0].n_blocks
                        found, curve = fit_group(at, y, ceiling, forms, level, blocks, families)
                        rows += [key | row for row in found]
                        curves += [key | row for row in curve]
    return rows, curves


def point_rows(
    law: str, points: Mapping[str, list[Point]], x: str, layer_choice: str, level: float
) -> list[dict]:
    """Rows of table `law_points`."""
    rows = []
    for subject, mine in points.items():
        for point in sorted(mine, key=lambda point: point.x):
            for name, values in point.y.items():
                lo, hi = interval(values[0], values[1:], level, point.n_blocks)
                key = {name: point.about[name] for name in ("model", "layer", "n_train", "n_draws", "wide")}
                group = point.about["model"] if x in DATA else point.about["family"]
                key |= {"law": law, "subject": subject, "voxel_set": name, "group": group}
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
        cells: (model, layer, subject, n_train) of its sweep.
        moments: their files, in the same order.
        spec: x, voxels and families (`pooled` or `intercepts`) of the config's `laws`; n_draws of its sweep.
        settings: skip_s, tr_s, draws, interval, seed, layer_choice.

    Raises:
        UserError: cells of a subject tested on different TRs, a model without x, an unknown voxel set.
    """
    where = f"config key laws.{law}"
    x, over_models = spec["x"], spec["x"] not in DATA
    about = describe_cells(tables.read("summary", summary), cells, x, where, spec["n_draws"])
    chosen = choose_cells(about, x, settings["layer_choice"])
    several = len({(cell[0], *cell[2:]) for cell in about}) < len(about)
    files = {tuple(cell): path for cell, path in zip(cells, moments, strict=True)}
    files = {cell: files[cell] for cell in chosen}
    points = read_points(files, about, voxels, spec, over_models, where, settings)
    level = settings["interval"]
    choice = settings["layer_choice"] if several else "fixed"
    provenance = collect(
        law=law, spec=dict(spec), settings=dict(settings), test_blocks=blocks_by_subject(points)
    )
    tables.write("law_points", point_rows(law, points, x, choice, level), output_points, provenance)
    apart = over_models and spec.get("families") == "intercepts"
    rows, curves = fit_laws(law, points, x, level, apart)
    tables.write("laws", rows, output, provenance)
    tables.write("law_curves", curves, output_curves, provenance)
