"""Scaling laws of a study: points from the cells' moments, forms fitted to them, intervals by resampling.

A law over models takes its points at each subject's largest training set; a law over data has one group of
points for each model. Every resample draws test blocks (the same for all cells) and training draws (the same
for all sizes), scores every point anew and fits every form anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxscale import tables
from voxscale.bootstrap import (
    METRICS,
    Moments,
    block_counts,
    cell_scores,
    check_same_test,
    draw_weights,
    interval,
    skipped_trs,
)
from voxscale.errors import UserError
from voxscale.forms import FORMS, aicc, family_offsets, fit, implied, largest_error
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.voxel_sets import choose_sets, read_sets

POOLED = "pooled"
BEYOND = 1.5  # how far a curve is drawn beyond its points
DATA = {"hours": "train_hours", "stories": "n_train", "trs": "train_trs"}
X_COLUMNS = DATA | {name: name for name in ("parameters", "parameters_non_embedding", "width")}


@dataclass(frozen=True)
class Point:
    """One point of a law.

    Args:
        about: model, layer, n_train, family, wide, n_draws of the cell.
        x: where it stands.
        y: set -> (resamples, metrics); row 0 is the real test set.
        ceiling: set -> (metrics,) largest score that the noise ceilings of its voxels allow.
    """

    about: Mapping[str, Any]
    x: float
    y: Mapping[str, np.ndarray]
    ceiling: Mapping[str, np.ndarray]


def describe_cells(
    summary: pa.Table, cells: Iterable[Sequence[Any]], x: str, where: str
) -> dict[tuple, dict]:
    """What the summary says of each cell, its draws averaged: (model, layer, subject, n_train) -> row.

    Raises:
        UserError: a cell has no summary, or its model no such x.
    """
    rows: dict[tuple, list[dict]] = {}
    for row in summary.filter(pc.equal(summary["voxel_set"], "all")).to_pylist():
        rows.setdefault((row["model"], row["layer"], row["subject"], row["n_train"]), []).append(row)
    found = {}
    for cell in map(tuple, cells):
        if cell not in rows:
            name = " ".join(str(part) for part in cell)
            raise UserError(f"results/tables/summary.parquet: lacks cell {name}; gather the scores again")
        draws = rows[cell]
        values = [row[X_COLUMNS[x]] for row in draws]
        if None in values or not all(value > 0 for value in values):
            raise UserError(f"{where}.x: model {cell[0]} has no {x}; choose another x or other models")
        found[cell] = draws[0] | {
            "x": float(np.mean(values)),
            "mean_cv_r": float(np.mean([row["mean_cv_r"] for row in draws])),
            "mean_r": float(np.mean([row["mean_r"] for row in draws])),
            "wide": any(row["wide"] for row in draws),
            "n_draws": len(draws),
        }
    return found


def choose_cells(about: Mapping[tuple, dict], x: str, layer_choice: str) -> list[tuple]:
    """Cells that are points: of several layers the chosen one; for a law over models the largest n_train.

    Args:
        layer_choice: `cv`: the layer with the best held-out score inside the training stories; `test`: with
            the best test score, which flatters models with more layers.
    """
    rank = {"cv": "mean_cv_r", "test": "mean_r"}[layer_choice]
    layers: dict[tuple, list[tuple]] = {}
    for cell in about:
        layers.setdefault((cell[0], *cell[2:]), []).append(cell)
    chosen = [max(group, key=lambda cell: about[cell][rank]) for group in layers.values()]
    if x in DATA:
        return chosen
    most = {subject: max(cell[3] for cell in chosen if cell[2] == subject) for _, _, subject, _ in chosen}
    return [cell for cell in chosen if cell[3] == most[cell[2]]]


def ceiling_bounds(ccmax: np.ndarray, sets: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Largest mean r and mean r² that the voxels' ceilings allow: set -> (metrics,).

    ASSUME: an undefined ceiling counts as 0 and one that noise made too high counts in full, so that the
    bound errs upwards; without any ceiling it is 1.
    """
    known = np.nan_to_num(ccmax)
    if not known.any():
        return {name: np.ones(len(METRICS)) for name in sets}
    return {
        name: np.array([known[inside].mean(), (known[inside] ** 2).mean()]) if inside.any() else np.ones(2)
        for name, inside in sets.items()
    }


def score_points(
    cells: Mapping[tuple, Moments],
    about: Mapping[tuple, dict],
    voxels: str | Path,
    wanted: list[str],
    where: str,
    settings: Mapping[str, Any],
) -> tuple[dict[str, list[Point]], int]:
    """Points of every subject and the number of test blocks they rest on.

    Args:
        settings: skip_s, tr_s, draws, seed.
    """
    first = next(iter(cells.values()))
    check_same_test(list(cells.values()))
    cut = skipped_trs(settings)
    n_blocks = int(first.blocks.kept(cut).sum())
    if n_blocks < 2:
        raise UserError(f"config key scoring.skip_s: leaves {n_blocks} blocks of the test stories; lower it")
    counts = block_counts(n_blocks, settings["draws"], settings["seed"])
    known = read_sets(voxels)
    points: dict[str, list[Point]] = {}
    for cell, moments in bar(cells.items(), "resample", unit="cell"):
        subject = cell[2]
        ids, sets, ccmax = known[subject]
        if not np.array_equal(moments.voxels, ids):
            raise UserError(f"{moments.path}: has other voxels than {voxels}; fit the cell again")
        sets = choose_sets(sets, wanted, where, subject)
        scores = cell_scores(moments, cut, counts, sets)  # (draws, resamples, sets, metrics)
        weights = draw_weights(moments.n_draws, settings["draws"], settings["seed"])
        mean = np.einsum("drsm,rd->srm", scores, weights)
        points.setdefault(subject, []).append(
            Point(
                about[cell],
                about[cell]["x"],
                dict(zip(sets, mean, strict=True)),
                ceiling_bounds(ccmax, sets),
            )
        )
    return points, n_blocks


def pool(points: Mapping[str, list[Point]], over_models: bool) -> list[Point]:
    """Mean over subjects at the points that all of them have.

    ASSUME: the subjects are these subjects; the pooled interval does not speak of others.
    """

    def key(point: Point) -> tuple:
        return (point.about["model"],) if over_models else (point.about["model"], point.about["n_train"])

    by_subject = [{key(point): point for point in mine} for mine in points.values()]
    pooled = []
    for shared in by_subject[0]:
        if not all(shared in mine for mine in by_subject):
            continue
        same = [mine[shared] for mine in by_subject]
        sets = [name for name in same[0].y if all(name in point.y for point in same)]
        layers = {point.about["layer"] for point in same}
        pooled.append(
            Point(
                same[0].about
                | {
                    "layer": layers.pop() if len(layers) == 1 else None,
                    "wide": any(point.about["wide"] for point in same),
                },
                float(np.mean([point.x for point in same])),
                {name: np.mean([point.y[name] for point in same], 0) for name in sets},
                {name: np.mean([point.ceiling[name] for point in same], 0) for name in sets},
            )
        )
    return pooled


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
    drawn = np.geomspace(x.min() / BEYOND, x.max() * BEYOND, 40)
    for name in [name for name in forms if families is None or FORMS[name].constant]:
        form = FORMS[name]
        parameters, rss = fit(form, x, y, ceiling, families)
        quantities = {key: (parameters[:, i], None) for i, key in enumerate(form.parameters)}
        quantities |= implied(form, x, parameters)
        count = len(form.parameters)
        if families is not None:
            offsets = family_offsets(form, x, y, parameters, families)
            quantities |= {f"offset:{family}": (values, None) for family, values in offsets.items()}
            count += len(offsets) - 1
        criterion = aicc(rss[0], len(x), count)
        error = largest_error(form, x, y[0], ceiling, families)
        judged[name] = criterion, abs(error)
        for key, (values, base) in quantities.items():
            lo, hi = interval(values[0], values[1:], level, n_blocks)
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


def preferred(judged: Mapping[str, tuple[float, float]]) -> str | None:
    """Form with the least AICc; where no form has one, with the least error at the largest point left out."""
    for criterion in (0, 1):
        known = {name: value[criterion] for name, value in judged.items() if np.isfinite(value[criterion])}
        if known:
            return min(known, key=known.__getitem__)
    return None


def fit_laws(
    law: str, points: Mapping[str, list[Point]], x: str, level: float, n_blocks: int, intercepts: bool = False
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
                        found, curve = fit_group(at, y, ceiling, forms, level, n_blocks, families)
                        rows += [key | row for row in found]
                        curves += [key | row for row in curve]
    return rows, curves


def point_rows(
    law: str, points: Mapping[str, list[Point]], x: str, layer_choice: str, level: float, n_blocks: int
) -> list[dict]:
    """Rows of table `law_points`."""
    rows = []
    for subject, mine in points.items():
        for point in sorted(mine, key=lambda point: point.x):
            for name, values in point.y.items():
                lo, hi = interval(values[0], values[1:], level, n_blocks)
                key = {name: point.about[name] for name in ("model", "layer", "n_train", "n_draws", "wide")}
                group = point.about["model"] if x in DATA else point.about["family"]
                key |= {"law": law, "subject": subject, "voxel_set": name, "group": group}
                key |= {"x": point.x, "x_name": x, "layer_choice": layer_choice}
                rows += [
                    key | {"metric": metric, "y": values[0, m], "lo": lo[m], "hi": hi[m]}
                    for m, metric in enumerate(METRICS)
                ]
    return rows


def fit_law(
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
        spec: x, voxels and families (`pooled` or `intercepts`), from the config's `laws`.
        settings: skip_s, tr_s, draws, interval, seed, layer_choice.

    Raises:
        UserError: cells tested on different TRs, a model without x, a voxel set that is not there.
    """
    where = f"config key laws.{law}"
    x, over_models = spec["x"], spec["x"] not in DATA
    about = describe_cells(tables.read("summary", summary), cells, x, where)
    chosen = choose_cells(about, x, settings["layer_choice"])
    several = len({(cell[0], *cell[2:]) for cell in about}) < len(about)
    files = {tuple(cell): path for cell, path in zip(cells, moments, strict=True)}
    opened = {cell: Moments(files[cell]) for cell in chosen}
    points, n_blocks = score_points(opened, about, voxels, list(spec["voxels"]), where, settings)
    if len(points) > 1 and (pooled := pool(points, over_models)):
        points = points | {POOLED: pooled}
    level = settings["interval"]
    choice = settings["layer_choice"] if several else "fixed"
    provenance = collect(law=law, spec=dict(spec), settings=dict(settings), test_blocks=n_blocks)
    tables.write("law_points", point_rows(law, points, x, choice, level, n_blocks), output_points, provenance)
    apart = over_models and spec.get("families") == "intercepts"
    rows, curves = fit_laws(law, points, x, level, n_blocks, apart)
    tables.write("laws", rows, output, provenance)
    tables.write("law_curves", curves, output_curves, provenance)
