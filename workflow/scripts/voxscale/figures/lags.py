"""The lag scan: whether words and responses of each story are aligned."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voxscale.figures import style


def draw_lags(lags: pd.DataFrame, lag_curves: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Score of the word rate over shifts of each story, and the best shifts: a row of panels per subject.

    Args:
        lags, lag_curves: tables of these names.
    """
    if not lags.best_s.notna().any():
        return style.sentence("No lag scan: word rate or responses do not vary.")
    subjects = list(dict.fromkeys(lags.subject))
    figure, panels = style.grid(
        len(subjects), 2, height=0.5 + 2.1 * len(subjects), squeeze=False, sharex="col", width_ratios=(3, 2)
    )
    for (left, right), subject in zip(panels, subjects, strict=True):
        mine = lags[lags.subject == subject].sort_values("best_s", kind="stable")
        curves = dict(list(lag_curves[lag_curves.subject == subject].groupby("story", sort=False)))
        hues = style.colours(mine.story[mine.misaligned])
        for row in mine.itertuples():
            curve = curves[row.story]
            whole, hue = row.role == "all", hues.get(row.story)
            look = {"color": hue or (style.INK if whole else style.MUTED), "zorder": 3 if whole or hue else 2}
            look |= {"linewidth": 2.2 if whole else 1.4 if hue else 0.7, "alpha": 1 if whole or hue else 0.5}
            (shown,) = left.plot(curve.shift_s, curve.r, **look)
            style.label_points(shown, curve.rename(columns={"r": "score"}))
        _draw_best(right, mine, hues)
        left.axvline(0, color=style.MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
        left.axhline(0, color=style.MUTED, linewidth=0.8)
        left.set_title(subject)
        left.set_ylabel("correlation r, word rate")
    for axes in panels[-1]:
        axes.set_xlim(-10.5, 10.5)
        axes.set_xticks(range(-10, 11, 5))
    panels[-1][0].set_xlabel("shift of the words (s)")
    panels[-1][1].set_xlabel("best shift (s)")
    kinds = [style.key("all stories", style.INK, linewidth=2.2), style.key("one story", linewidth=0.7)]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure, lag_curves.merge(lags, on=["subject", "story"])


def _draw_best(axes: Axes, mine: pd.DataFrame, hues: dict[str, str]) -> None:
    """The best shift of each story with its interval, and the names of those that are misaligned."""
    place = np.arange(len(mine))
    for at, row in zip(place, mine.itertuples(), strict=True):
        hue = hues.get(row.story, style.INK if row.role == "all" else style.MUTED)
        axes.plot([row.best_lo, row.best_hi], [at, at], color=hue, linewidth=0.9, alpha=0.7)
        axes.plot(row.best_s, at, "o", color=hue, markersize=2.5)
        if row.story in hues:
            late = row.best_s > 0  # the name where there is more room
            look = {"color": hue, "fontsize": 7.5, "va": "center", "ha": "right" if late else "left"}
            axes.text(row.best_lo if late else row.best_hi, at, f" {row.story} ", **look)
    axes.axvline(0, color=style.MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set_yticks([])
    axes.set_ylabel("stories")
