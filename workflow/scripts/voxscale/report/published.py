"""The published study's claims compared with this study's numbers, for the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from voxscale.figures import X_UNITS, best_layer, format_count, full_training, voxel_set_label
from voxscale.report.content import METRIC, between, headlines, rise

_EARLY_AUDITORY = ("ac", "a1", "auditory")  # regions by these names, in small letters
_LEAST_R = 0.01  # ASSUME: percentages of a mean score below this mean nothing
PUBLISHED: dict[str, str] = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text())
_KINDS = ("language", "speech", "training")  # kinds of law that answer the first of these


def published_rows(
    laws: pd.DataFrame,
    summary: pd.DataFrame,
    points: pd.DataFrame,
    artifact: pd.DataFrame,
    x_names: Mapping[str, str],
    chief_laws: Mapping[str, str],
    stacked: bool = False,
) -> list[dict[str, Any]]:
    """Every claim of the publication with this study's number; None if it was not computed.

    Each number is for the region, models and statistic that the claim names: never the largest of many.

    Args:
        laws, summary: tables of these names.
        points: table `law_points`.
        artifact: table of that name.
        x_names: what each law runs over.
        chief_laws: the law that answers for language models, for speech models and for training data.
        stacked: whether this study stacks models, which a figure shows.
    """
    answers: list[str | None] = []
    for kind in _KINDS:
        law = chief_laws.get(kind, "")
        x = x_names.get(law, "x")
        mine = []
        for name, metric, fit in headlines(laws):
            if name == law and pd.isna(fit.lacking.iloc[0]):
                said = " per decade; ".join(filter(None, rise(fit, x)))
                mine.append(f"{METRIC[metric]}: {said} per decade{_fitted(points, fit.iloc[0], x)}")
            elif name == law:
                mine.append(f"{METRIC[metric]}: not stated, too little: {fit.lacking.iloc[0]}")
        answers.append("; ".join(mine) or None)
    language = full_training(summary[summary.modality == "language"])
    answers += [
        _largest_model(language, points, chief_laws.get("language", "")),
        _depths(language),
        "see the figure of stacking gains" if stacked else None,
        "see the figures of noise ceilings" if summary.mean_ccnorm.notna().any() else None,
        _first_seconds(artifact[artifact.model.isin(language.model)]),
    ]
    return [
        {"claim": claim, "published": published, "this study": mine}
        for (claim, published), mine in zip(PUBLISHED.items(), answers, strict=True)
    ]


def _fitted(points: pd.DataFrame, law: Any, x_name: str) -> str:
    """What a law was fitted to, which may be other sizes than the publication's."""
    same = ["law", "subject", "metric", "voxel_set"] + (["group"] if law.group != "all" else [])
    x = points[(points[same] == [getattr(law, name) for name in same]).all(axis=1)].x
    if x.empty:
        return ""
    span = f"{format_count(x.min())} to {format_count(x.max())} {X_UNITS.get(x_name, x_name)}"
    return f" (fitted to {len(x)} points, {span})"


def _largest_model(language: pd.DataFrame, points: pd.DataFrame, law: str) -> str | None:
    """Mean signed r² and the best voxel of the largest language model, at the layer chosen in training."""
    chosen = best_layer(language).dropna(subset="max_r")
    if chosen.empty:
        return None
    largest = chosen[chosen.parameters.fillna(0) == chosen.parameters.fillna(0).max()]
    best = largest.sort_values("max_r").iloc[-1]
    found = points[(points.law == law) & (points.model == best.model) & (points.subject == "pooled")]
    found = found[(found.metric == "r2") & (found.voxel_set == "all")]
    means = [between(row, "{:.3f}", "y") for row in found.itertuples()] or [f"{largest.mean_r2.mean():.3f}"]
    return (
        f"{best.model}: mean signed r² {means[0]}; r = {best.max_r:.2f} in the best voxel "
        f"of the test set (layer {best.layer}, {best.subject}), which is too high, as any maximum is"
    )


def _depths(language: pd.DataFrame) -> str | None:
    """Depth of the layer that is best inside training, of each family with several layers fitted."""
    cells = language.groupby(["family", "model", "subject"])
    found = [
        (family, part.dropna(subset="mean_cv_r").sort_values("mean_cv_r").depth.iloc[-1])
        for (family, _, _), part in cells
        if part.layer.nunique() > 2 and part.mean_cv_r.notna().any()
    ]
    depths = pd.DataFrame(found, columns=["family", "depth"]).groupby("family").depth.mean()
    return "; ".join(f"{family} at {depth:.2f} of the depth" for family, depth in depths.items()) or None


def _first_seconds(artifact: pd.DataFrame) -> str | None:
    """What the first seconds add to r in early auditory cortex, of each language model and subject."""
    regions = artifact.voxel_set.str.removeprefix("roi:").str.lower().isin(_EARLY_AUDITORY)
    rows = artifact[regions & (artifact.metric == "r")]
    found = []
    for (model, subject, name), part in rows.groupby(["model", "subject", "voxel_set"], sort=False):
        own, whole = part[part.difference == 0], part[part.cut_s == 0]
        base = own.y.to_numpy()
        if len(own) != 1 or len(whole) != 1 or not base[0] > _LEAST_R or not own.cut_s.item():
            continue
        if whole.difference_lo.isna().item():  # too few blocks of test TRs for an interval
            continue
        ends = {end: 100 * whole[f"difference_{end}"] / base for end in ("lo", "hi")}
        row = next(whole.assign(**ends).itertuples())
        share = between(row, "{:+.0f}", "percent")
        found.append(
            f"the first {own.cut_s.item():.0f} s add {share} % over {voxel_set_label(name)} "
            f"({model}, {subject})"
        )
    return "; ".join(found) or None
