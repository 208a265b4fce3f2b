"""Scan more, or use a bigger model? The score as a surface over parameters and hours, and its slopes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.laws.fit import preferred_form, split_scored, with_pool
from voxscale.laws.likelihood import aic, relative_likelihoods, resampled_covariance, surface_deviance
from voxscale.laws.minima import design_lacks, lacking
from voxscale.laws.points import Point, points_provenance, read_points
from voxscale.laws.surfaces import SURFACES, FittedSurface, fit_surface
from voxscale.scores import POOLED
from voxscale.statistics import METRICS, interval, outer_share

_GRID = 13  # values of N and of D in the drawn surface
_HOURS_SEARCHED = np.geomspace(1, 1000, 300)  # times the hours there are


def corner_error(name: str, n: np.ndarray, d: np.ndarray, y: np.ndarray, ceiling: float) -> float:
    """Predicted minus observed where both N and D are largest, by a fit without the points of that corner.

    The corner is every point of the largest model with more than the median hours. NaN: too few are left.
    """
    corner = (n == n.max()) & (d > np.median(d))
    surface = SURFACES[name]
    if (~corner).sum() < surface.n_parameters or not corner.any():
        return np.nan
    fitted = fit_surface(surface, n[~corner], d[~corner], y[None, ~corner], ceiling)
    errors = [fitted.value(*at)[0] - seen for *at, seen in zip(n[corner], d[corner], y[corner], strict=True)]
    return float(np.mean(errors))


def what_next(fitted: FittedSurface, n: float, d: float, larger: float) -> list[tuple[str, str, np.ndarray]]:
    """Options, from the largest model and all hours there are: (option, unit, gains (studies,)).

    Args:
        n: parameters of the largest model; d: training hours now.
        larger: how many times larger the next model is.
    """
    now = fitted.value(n, d)
    options = {
        "one more hour": fitted.value(n, d + 1) - now,
        "twice the hours": fitted.value(n, 2 * d) - now,
        "twice the parameters": fitted.value(2 * n, d) - now,
        f"the next larger model ({larger:.3g} times the parameters)": fitted.value(larger * n, d) - now,
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = {name: 100 * gain / np.where(now > 0, now, np.nan) for name, gain in options.items()}
    rows = [(name, "metric", gain) for name, gain in options.items()]
    rows += [(name, "% of the fitted score now", gain) for name, gain in percent.items()]
    # Iso-performance: hours with the same gain as twice the parameters; inf where they are not in the search.
    along = np.stack([fitted.value(n, d * times) for times in _HOURS_SEARCHED])
    wanted = fitted.value(2 * n, d)
    reached = along >= wanted
    first = np.maximum(reached.argmax(0), 1)  # a line between the last one below and the first one above
    (below, above), each = (along[first - i, np.arange(along.shape[1])] for i in (1, 0)), first - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip((wanted - below) / (above - below), 0, 1)
    times = _HOURS_SEARCHED[each] + np.nan_to_num(share) * (_HOURS_SEARCHED[first] - _HOURS_SEARCHED[each])
    hours = np.where(reached.any(0), d * (times - 1), np.inf)
    return [*rows, ("hours worth twice the parameters", "h", hours)]


def mixed_interval(
    gains: Mapping[str, np.ndarray], likelihoods: Mapping[str, float], level: float, n_blocks: int
) -> tuple[float, float, float]:
    """Median of a gain over resamples of all forms, and an interval that holds whichever form is true.

    A gain is an extrapolation, where forms differ most. Percentiles of the mixture of all forms would hold on
    average over forms, but less often where the true form gives the largest gain of all. The interval is
    therefore the widest of the forms' own. That of a form p times as likely as the best one is narrower, with
    1/p times as many resamples beyond each end, down to none.

    Args:
        gains: form -> (resamples,), inf where no hours are enough, NaN where unknown.
        likelihoods: of `relative_likelihoods`.
    """
    known = {form: values[~np.isnan(values)] for form, values in gains.items()}
    weights = np.concatenate([np.full(len(values), likelihoods[form]) for form, values in known.items()])
    if not weights.any():
        return (np.nan,) * 3
    every = np.concatenate(list(known.values()))
    share = outer_share(level, n_blocks)
    ends = [
        np.quantile(values, [share / p, 1 - share / p], method="nearest")  # of inf and a number, one of both
        for form, values in known.items()
        if len(values) and (p := likelihoods[form]) > 2 * share
    ]
    lows, highs = zip(*ends, strict=True) if ends else ([np.nan], [np.nan])
    gain = np.quantile(every, 0.5, weights=weights, method="inverted_cdf")
    return float(gain), float(min(lows)), float(max(highs))


def another_subject(
    points: Mapping[str, list[Point]], name: str, m: int, level: float
) -> tuple[float, float, float] | None:
    """Change of the half width of the interval of the subjects' mean best score with one more subject.

    The half width is t·spread/√subjects; the uncertainty of the spread itself follows from chi-square.

    ASSUME: the next subject differs from these as these differ from each other, and as a normal variable.

    Returns:
        change (below 0), lo, hi; None with fewer than two subjects.
    """
    from scipy import stats

    best = [
        max(scored)
        for subject, mine in points.items()
        if subject != POOLED and (scored := [point.y[name][0, m] for point in mine if point.has(name)])
    ]
    s = len(best)
    if s < 2:
        return None
    now, then = (stats.t.ppf(0.5 + level / 2, k - 1) / np.sqrt(k) for k in (s, s + 1))
    spread = np.std(best, ddof=1)
    ends = spread * np.sqrt((s - 1) / stats.chi2.ppf([0.5 - level / 2, 0.5 + level / 2], s - 1))
    return float((then - now) * spread), *map(float, (then - now) * ends)


def joint_rows(
    subject: str, mine: Sequence[Point], name: str, m: int, level: float, missing: Sequence[str] = ()
) -> tuple[list[dict], list[dict], list[dict]]:
    """Rows of tables `joint`, `joint_surface` and `what_next` for one subject, set and metric.

    Args:
        mine: points that have a score over the set.
        missing: what there is too little of: without a preferred form there is no surface and no next step.
    """
    n = np.array([point.about["parameters"] for point in mine], float)
    d = np.array([point.x for point in mine])
    y = np.stack([point.y[name][:, m] for point in mine], 1)
    y = y[np.isfinite(y).all(1)]
    ceiling = max(point.ceiling[name][m] for point in mine)
    n_blocks = min(point.n_blocks for point in mine)
    key = {"subject": subject, "metric": METRICS[m], "voxel_set": name}
    covariance = resampled_covariance(y[1:], n_blocks)
    fits, judged, rows = {}, {}, []
    for form, surface in SURFACES.items():
        row = key | {"form": form, "n_parameters": surface.n_parameters, "n_points": len(n)}
        row |= dict.fromkeys(("rss", "aic", "corner_error"), np.nan) | {"at_bound": None}
        rows.append(row)
        if len(n) <= surface.n_parameters or missing:
            continue
        fits[form] = fit_surface(surface, n, d, y, ceiling)
        deviance = surface_deviance(surface, n, d, y[0], covariance, ceiling)
        row["rss"] = float(fits[form].rss[0])
        row["at_bound"] = ", ".join(fits[form].at_bound(ceiling)) or None
        row["aic"] = judged[form] = aic(deviance, surface.n_parameters)
        row["corner_error"] = corner_error(form, n, d, y[0], ceiling)
    best = preferred_form(judged)
    rows = [row | {"preferred": row["form"] == best} for row in rows]
    if best is None:
        return rows, [], []
    key["form"] = best
    surface_rows = []
    measured = dict(zip(zip(n, d, strict=True), y[0], strict=True))
    grid = itertools.product(*(np.geomspace(each.min(), 2 * each.max(), _GRID) for each in (n, d)))
    for at in [*grid, *measured]:
        values = fits[best].value(*at)
        lo, hi = interval(values[0], values[1:], level, n_blocks)
        where = {"parameters": at[0], "hours": at[1], "observed": measured.get(at, np.nan)}
        surface_rows.append(key | where | {"fitted": values[0], "lo": lo, "hi": hi})
    next_rows = []
    sizes = np.unique(n)
    options = {form: what_next(fit, n.max(), d.max(), sizes[-1] / sizes[-2]) for form, fit in fits.items()}
    likelihoods = relative_likelihoods(judged)
    now = fits[best].value(n.max(), d.max())
    no_base = not interval(now[0], now[1:], level, n_blocks)[0] > 0
    for i, (option, unit, _) in enumerate(options[best]):
        gains = {form: found[i][2][1:] for form, found in options.items()}
        gain, lo, hi = mixed_interval(gains, likelihoods, level, n_blocks)
        if no_base and unit.startswith("%"):
            gain = lo = hi = np.nan
        next_rows.append(key | {"option": option, "unit": unit, "gain": gain, "lo": lo, "hi": hi})
    return rows, surface_rows, next_rows


def _lacking(scored: Sequence[Point], name: str) -> list[str]:
    """What there is too little of for a next step, in words."""
    if not scored:
        return ["no point has a score"]
    models = len({point.about["parameters"] for point in scored})
    sizes = min(Counter(point.about["parameters"] for point in scored).values())
    found = lacking(min(p.n_blocks for p in scored), min(p.n_voxels[name][0] for p in scored))
    return [*found, *([design] if (design := design_lacks(models, sizes)) else [])]


def write_joint(
    cells: Sequence[Sequence[Any]],
    moments: Sequence[str | Path],
    summary: str | Path,
    voxels: str | Path,
    output: str | Path,
    output_surface: str | Path,
    output_next: str | Path,
    spec: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Write tables `joint`, `joint_surface` and `what_next`.

    Args:
        cells, moments, summary, voxels, settings: see `read_points`; several models at several sizes of
            training set.
        spec: voxels, from the config's `joint`; n_draws of its sweep.

    Raises:
        UserError: fewer than two models or two sizes of training set; a model without parameters.
    """
    where, level = "config key joint", settings["interval"]
    if len({cell[0] for cell in cells}) < 2 or len({cell[3] for cell in cells}) < 2:
        raise UserError(f"{where}.sweep: needs at least two models at two n_train; name such a sweep")
    points = read_points(cells, moments, summary, voxels, "hours", spec, where, settings)
    for point in itertools.chain(*points.values()):
        if not point.about["parameters"]:
            raise UserError(f"{where}.sweep: model {point.about['model']} has no parameters; leave it out")
    points, lost = with_pool(points, spec, "hours")
    found: tuple[list[dict], list[dict], list[dict]] = ([], [], [])
    for subject, mine in points.items():
        for name in dict.fromkeys(name for point in mine for name in point.y):
            scored, silent = split_scored(mine, name)
            without = [*(lost.get(name, []) if subject == POOLED else []), *silent]
            missing = _lacking(scored, name)
            said = {"left_out": "; ".join(without) or None, "lacking": "; ".join(missing) or None}
            for m, metric in enumerate(METRICS) if scored else ():
                new = joint_rows(subject, scored, name, m, level, missing)
                for rows, more in zip(found, ([row | said for row in new[0]], *new[1:]), strict=True):
                    rows += more
                if subject == POOLED and (change := another_subject(points, name, m, level)):
                    row = {"subject": subject, "metric": metric, "voxel_set": name, "form": "none"}
                    row |= {"option": "another subject", "unit": "half width of the mean's interval"}
                    found[2].append(row | dict(zip(("gain", "lo", "hi"), change, strict=True)))
    provenance = points_provenance(points, spec, settings)
    names = ("joint", "joint_surface", "what_next")
    for name, rows, path in zip(names, found, (output, output_surface, output_next), strict=True):
        tables.write(name, rows, path, provenance)
