"""The phantom's known truth beside what the pipeline recovered."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from voxscale.figures import style
from voxscale.figures.scaling import METRICS


@style.house
def draw_validation(
    points: pd.DataFrame, lines: pd.DataFrame, checks: pd.DataFrame, *, metric: str = "r"
) -> tuple[Figure, pd.DataFrame]:
    """Left: scores of the nested family, the true line and the recovered one. Right: every check.

    Args:
        points: one row per subject and nested model: subject, x (dimensions), score.
        lines: one row per series (`truth`, `recovered`) and x: series, x, fit, low, high.
        checks: one row per quantity: check, truth, estimate, low, high.
    """
    if points.empty and checks.empty:
        return style.sentence("Nothing to validate: only the phantom's truth is known.")
    figure, (left, right) = style.grid(1, 2, height=max(3.4, 1.4 + 0.3 * len(checks)), width_ratios=[1.15, 1])
    hues = style.colours(sorted(points.subject.unique()))
    for subject, part in points.groupby("subject"):
        part = part.sort_values("x")
        left.plot(part.x, part.score, color=hues[subject], marker="o", linewidth=1.1, label=subject)
    mean = points.groupby("x", as_index=False).score.mean()
    left.plot(
        mean.x, mean.score, color=style.INK, marker="o", markersize=6, linewidth=2, label="mean of subjects"
    )
    looks = {"truth": (style.MUTED, "-", 3.0), "recovered": (style.LAW, (0, (5, 2)), 1.6)}
    for series, line in lines.groupby("series", sort=False):
        colour, dash, width = looks[series]
        line = line.sort_values("x")
        if line.low.notna().any():
            left.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        left.plot(line.x, line.fit, color=colour, linestyle=dash, linewidth=width, alpha=0.8, label=series)
    style.log_axis(left, points.x.to_numpy(), form=lambda value, _: f"{value:g}")
    left.set_xlabel("dimensions of the nested model")
    left.set_ylabel(METRICS[metric])
    left.set_title("Nested family")
    left.legend(loc="upper left", fontsize=7.5)

    # Each check on its own scale: interval's half width is the unit, so that truth inside means |z| < 1.
    checks = checks.reset_index(drop=True)
    half = ((checks.high - checks.low) / 2).where(lambda h: h > 0, np.nan)
    place = np.arange(len(checks))[::-1]
    offset = (checks.truth - checks.estimate) / half
    inside = (checks.truth >= checks.low) & (checks.truth <= checks.high)
    right.axvspan(-1, 1, color="#e9eef2", zorder=0)
    right.axvline(0, color=style.MUTED, linewidth=0.8)
    right.scatter(
        offset.clip(-2.8, 2.8), place, c=np.where(inside, style.PALETTE[2], style.LAW), s=40, zorder=3
    )
    right.set_yticks(
        place,
        [f"{c.check}\n{c.estimate:.3g}, truth {c.truth:.3g}" for c in checks.itertuples()],
        fontsize=7.5,
    )
    right.set_xlim(-3, 3)
    right.set_ylim(-0.7, len(checks) - 0.3)
    right.grid(axis="y", visible=False)
    right.set_xlabel("truth − estimate\n(half widths of the interval)")
    right.set_title("Truth inside the interval?")
    data = pd.concat(
        [
            points.assign(series="subject"),
            mean.assign(series="mean"),
            lines.rename(columns={"fit": "score"}),
            checks.assign(series="check"),
        ],
        ignore_index=True,
    )
    return figure, data
