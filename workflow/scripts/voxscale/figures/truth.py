"""The phantom's known truth compared with the results."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voxscale.figures import style
from voxscale.figures.scaling import DASH, R_LABEL

REACH = 2.8  # half widths; what lies further is drawn here


def draw_validation(validation: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Left: scores of the nested family, the true line and the recovered one. Right: every check.

    Args:
        validation: with `points` (subject, x, score), `lines` (series, x, fit, low, high),
            `checks` (check, subject, truth, estimate, low, high, inside) and `statements` (holds).
    """
    points, lines, checks = (pd.DataFrame(validation.get(key, [])) for key in ("points", "lines", "checks"))
    if points.empty or checks.empty:
        return style.sentence("Nothing to validate: only the truth of the phantom is known.")
    points = points[points.subject != "pooled"]
    hues = {**style.colours(sorted(points.subject.unique())), "pooled": style.INK}
    names = list(dict.fromkeys(checks.check))
    figure, (left, right) = style.grid(1, 2, height=max(3.6, 1.6 + 0.3 * len(names)), width_ratios=[1.1, 1])
    mean = _draw_line(left, points, lines, hues)
    _draw_checks(right, checks, names, hues)
    statements = validation.get("statements", [])
    kept = [*checks.inside, *(row["holds"] for row in statements)]
    right.set_title(f"{sum(kept)} of {len(kept)} checks hold")
    parts = {"subject": points, "mean": mean, "check": checks}
    shown = [part.assign(series=series) for series, part in parts.items()]
    shown.insert(2, lines.rename(columns={"fit": "score"}))  # with series of its own
    return figure, pd.concat(shown, ignore_index=True)


def _draw_line(axes: Axes, points: pd.DataFrame, lines: pd.DataFrame, hues: dict[str, str]) -> pd.DataFrame:
    looks = {
        "endless training": ("#aab4be", ":", 1.4),
        "truth": ("#aab4be", "-", 4.0),
        "recovered": (style.LAW, DASH, 1.6),
    }
    for series, line in lines.groupby("series", sort=False):
        colour, dash, width = looks[series]
        line = line.sort_values("x").astype({"low": float, "high": float})
        if line.low.notna().any():
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(line.x, line.fit, color=colour, linestyle=dash, linewidth=width, label=series, zorder=4)
    for subject, part in points.groupby("subject"):
        part = part.sort_values("x")
        axes.plot(part.x, part.score, color=hues[subject], marker="o", linewidth=1, label=subject, zorder=3)
    mean = points.groupby("x", as_index=False).score.mean()
    axes.plot(mean.x, mean.score, "o", color=style.INK, markersize=6.5, label="mean of subjects", zorder=5)
    style.log_axis(axes, points.x.to_numpy(), form=lambda value, _: f"{value:g}")
    axes.set_xticks(sorted(points.x.unique()))
    axes.minorticks_off()
    axes.set_xlabel("dimensions of the nested model")
    axes.set_ylabel(R_LABEL)
    axes.set_title("Nested family")
    axes.legend(loc="best", fontsize=7.5)
    return mean


def _draw_checks(axes: Axes, checks: pd.DataFrame, names: list[str], hues: dict[str, str]) -> None:
    """Each check on its own scale: in half widths of its interval, the truth is inside between -1 and 1."""
    half = ((checks.high - checks.low) / 2).where(lambda width: width > 0, np.nan)
    offset = (checks.truth - (checks.low + checks.high) / 2) / half
    place = {name: len(names) - 1 - i for i, name in enumerate(names)}
    subjects = list(dict.fromkeys(checks.subject))
    axes.axvspan(-1, 1, color="#e9eef2", zorder=0)
    for subject, nudge in style.nudges(subjects, 0.5 * (1 - 1 / len(subjects))).items():
        mine = checks.subject == subject
        look = {"color": hues[subject], "markersize": 5.5}
        for inside, face in ((True, hues[subject]), (False, "white")):
            use = mine & (checks.inside == inside)
            at = checks.check[use].map(place).astype(float) + nudge
            axes.plot(offset[use].clip(-REACH, REACH), at, "o", markerfacecolor=face, **look)
    style.name_rows(axes, [place[name] for name in names], [name.replace(", ", ",\n") for name in names])
    axes.set_xlim(-3, 3)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlabel("truth, in half widths of its interval\n(shaded: inside; hollow: outside)")
