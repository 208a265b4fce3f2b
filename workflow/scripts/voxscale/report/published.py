"""The published study's claims compared with this study's numbers, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from voxscale.figures import X_UNITS, base_label, format_count, full_training, voxel_set_label
from voxscale.report.content import METRIC, between, percentages

_LEAST_R = 0.01  # ASSUME: percentages of a mean score below this mean nothing
PUBLISHED: dict[str, str] = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text())
_KINDS = ("language", "speech", "training")  # kinds of law that answer the first of these


def published_rows(
    laws: pd.DataFrame,
    summary: pd.DataFrame,
    points: pd.DataFrame,
    x_names: Mapping[str, str],
    chief_laws: Mapping[str, str],
    stacked: bool = False,
) -> list[dict[str, Any]]:
    """Every claim of the publication with this study's number; None if it was not computed.

    Args:
        laws, summary: tables of these names.
        points: table `law_points`.
        x_names: what each law runs over.
        chief_laws: the law that answers for language models, for speech models and for training data.
        stacked: whether this study stacks models, which a figure shows.
    """
    ours = percentages(laws)
    answers: list[str | None] = []
    for kind in _KINDS:
        law = chief_laws.get(kind, "")
        x = x_names.get(law, "x")
        mine = [
            f"{between(row, '{:+.0f}')} % per decade on {METRIC[row.metric]}, "
            f"of the {base_label(row.base, x)}{_fitted(points, row, x)}"
            for row in ours[ours.law == law].itertuples()
        ]
        answers.append("; ".join(mine) or None)
    networks = summary[summary.modality.isin(["language", "speech"])]
    largest = full_training(networks)
    everywhere = pd.concat(
        [largest, *(full_training(networks, s) for s in networks.voxel_set.unique() if s != "all")]
    )
    answers += [
        _best_voxel(largest),
        _depths(largest),
        "see the figure of stacking gains" if stacked else None,
        _near_ceiling(everywhere),
        _inflation(everywhere),
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


def _best_voxel(largest: pd.DataFrame) -> str | None:
    if largest.max_r.isna().all():
        return None
    best = largest.dropna(subset="max_r").sort_values("max_r").iloc[-1]
    return (
        f"r = {best.max_r:.2f} ({best.model}, layer {best.layer}, {best.subject}); "
        f"highest mean signed r² {largest.mean_r2.max():.3f}"
    )


def _depths(largest: pd.DataFrame) -> str | None:
    """Depth of the layer that is best inside training, of each family with several layers fitted."""
    language = largest[(largest.modality == "language") & (largest.voxel_set == "all")]
    cells = language.groupby(["family", "model", "subject"])
    found = [
        (family, part.dropna(subset="mean_cv_r").sort_values("mean_cv_r").depth.iloc[-1])
        for (family, _, _), part in cells
        if part.layer.nunique() > 2 and part.mean_cv_r.notna().any()
    ]
    depths = pd.DataFrame(found, columns=["family", "depth"]).groupby("family").depth.mean()
    return "; ".join(f"{family} at {depth:.2f} of the depth" for family, depth in depths.items()) or None


def _near_ceiling(scores: pd.DataFrame) -> str | None:
    """Where, of all sets of voxels, the mean share of the noise ceiling is largest."""
    known = scores[scores.mean_ccnorm.notna()]
    if known.empty:
        return None
    best = known.sort_values("mean_ccnorm").iloc[-1]
    where = voxel_set_label(best.voxel_set)
    return f"at most {best.mean_ccnorm:.0%} of it on average, over {where} ({best.model}, {best.subject})"


def _inflation(scores: pd.DataFrame) -> str | None:
    """Of the fits that score at all: what keeping the first seconds adds, where it adds most."""
    known = scores[(scores.mean_r > _LEAST_R) & scores.mean_r_uncut.notna()]
    if known.empty:
        return None
    best = known.assign(share=known.mean_r_uncut / known.mean_r - 1).sort_values("share").iloc[-1]
    return f"{best.share:+.0%} over {voxel_set_label(best.voxel_set)} ({best.model}, {best.subject})"
