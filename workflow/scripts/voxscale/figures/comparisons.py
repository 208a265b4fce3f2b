"""Two fits compared: where one is better, voxel by voxel and in each region."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from voxscale.figures import maps, style
from voxscale.figures.frames import mean_of_subjects, voxel_set_label, with_place

_RATE = 0.05


def draw_comparison(
    comparison: pd.DataFrame, comparison_sets: pd.DataFrame, voxels: pd.DataFrame, *, names: Sequence[str]
) -> tuple[Figure, pd.DataFrame]:
    """Differences of two fits: maps of up to three subjects, both scores of each voxel, means of regions.

    Args:
        comparison, comparison_sets, voxels: tables of these names.
        names: of the two fits.
    """
    placed = with_place(comparison, voxels).dropna(subset=["difference"])
    if placed.empty:
        return style.sentence("No voxel is scored by both fits of this comparison.")
    subjects = sorted(placed.subject.unique())
    figure, lower = maps.above(placed, "difference", "difference in r", 3.2)
    left, right = lower.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_scores(left, placed, names)
    _draw_sets(right, comparison_sets[comparison_sets.metric == "r"], subjects)
    figure.suptitle(f"{names[0]}, less {names[1]}", fontsize=9)
    kept = ["subject", "voxel", *maps.PLACE, "roi", "r_a", "r_b", "difference", "lo", "hi", "p", "q"]
    return figure, placed[kept]


def _draw_scores(axes: Axes, placed: pd.DataFrame, names: Sequence[str]) -> None:
    """Both scores of every voxel: a two-dimensional histogram."""
    both = placed[["r_a", "r_b"]].to_numpy()
    ends = both.min() - 0.01, both.max() + 0.01
    counts, x, y = np.histogram2d(both[:, 1], both[:, 0], bins=60, range=[ends, ends])
    counts = np.where(counts > 0, counts, np.nan).T
    shown = axes.pcolormesh(x, y, counts, cmap="Blues", norm=LogNorm(0.6, max(np.nanmax(counts), 2)))
    axes.plot(ends, ends, color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set_aspect("equal")
    axes.set_xlabel(f"correlation r, {names[1]}")
    axes.set_ylabel(f"correlation r, {names[0]}")
    share = f"first better in {100 * (placed.difference > 0).mean():.0f} %"
    axes.text(0.04, 0.96, share, transform=axes.transAxes, va="top", fontsize=8, color=style.INK)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.7, ticks=LogLocator(subs=(1, 2, 5)), format="%g")
    bar.set_label("voxels", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
    bar.ax.minorticks_off()


def _draw_sets(axes: Axes, sets: pd.DataFrame, subjects: Sequence[str]) -> None:
    """Mean difference over all voxels and each region, in intervals."""
    mean, place = _draw_differences(axes, sets, "voxel_set", subjects)
    for row in sets[sets.subject == mean].itertuples():
        if (row.p if np.isnan(row.q) else row.q) <= _RATE:
            axes.annotate("*", (1.0, place[row.voxel_set]), xycoords=("axes fraction", "data"), va="center")
    axes.set_xlabel("mean difference in r")


def _draw_differences(
    axes: Axes, table: pd.DataFrame, column: str, subjects: Sequence[str]
) -> tuple[str, dict[str, int]]:
    """Differences of each subject and of their mean, a row for each name in a column, in their intervals.

    Returns:
        what names the mean of subjects; the place of each row.
    """
    mean, names = mean_of_subjects(table), list(dict.fromkeys(table[column]))[::-1]
    hues, nudges = style.colours(subjects), style.nudges(subjects, 0.5)
    place = {name: i for i, name in enumerate(names)}
    for subject, part in table.groupby("subject", sort=False):
        # Subjects who share no row have no mean, and none of them stands for it.
        whole = subject == "pooled" or table.subject.nunique() == 1
        at = part[column].map(place).to_numpy() + (0.0 if whole else nudges[subject])
        hue = style.INK if whole else hues[subject]
        axes.hlines(at, part.lo, part.hi, color=hue, linewidth=2 if whole else 0.9, zorder=3 if whole else 2)
        (shown,) = axes.plot(part.difference, at, "o", color=hue, markersize=5 if whole else 3, zorder=3)
        style.label_points(shown, part)
    style.name_rows(axes, list(place.values()), [voxel_set_label(name) for name in names])
    return mean, place


def draw_asymmetry(asymmetry: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Left less right of each region, a panel for each model.

    Args:
        asymmetry: table `asymmetry`.
    """
    shown = asymmetry[asymmetry.metric == "r"].dropna(subset=["difference"])
    if shown.empty:
        return style.sentence("No region has scored voxels on both sides.")
    models, n = list(dict.fromkeys(shown.model)), shown.region.nunique()
    subjects = sorted(set(shown.subject) - {"pooled"})
    figure, panels = style.grid(1, len(models), height=1.0 + 0.3 * n, squeeze=False)
    for axes, model in zip(panels[0], models, strict=True):
        _draw_differences(axes, shown[shown.model == model], "region", subjects)
        axes.set_title(model)
        axes.set_xlabel("mean correlation r,\nleft less right")
    return figure, shown
