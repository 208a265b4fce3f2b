"""How a value spreads over voxels: scores, ceilings, and the shares of explained variance."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from voxscale.figures import style
from voxscale.figures.frames import with_place, with_room


def draw_score_distribution(scores: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Voxel correlations of the best models: a histogram per subject, and the share of voxels above each r.

    Args:
        scores: table `scores` of the cells to show, one model in one panel.
    """
    scores = scores[scores.draw == 0].dropna(subset=["r"])
    if scores.empty:
        return style.sentence("No voxel scores to show.")
    models = list(dict.fromkeys(scores.model))
    figure, panels = style.grid(len(models), 2, height=0.5 + 2.3 * len(models), squeeze=False, sharex="col")
    hues = style.colours(sorted(scores.subject.unique()))
    low, high = float(scores.r.min()), float(scores.r.max())
    edges = np.linspace(min(low, 0) - 0.02, high + 0.02, 46)
    above = np.linspace(0, high + 0.02, 120)
    shown = []
    for (left, right), model in zip(panels, models, strict=True):
        part = scores[scores.model == model]
        shares, tails = [], []
        for subject, r in part.groupby("subject").r:
            label = f"{subject}, max {r.max():.2f}"
            shares.append(
                style.draw_histogram(left, r, edges, color=hues[subject], linewidth=1.3, label=label)
            )
            tails.append(100 * (r.to_numpy()[:, None] > above[None]).mean(0))
            right.plot(above, tails[-1], color=hues[subject])
            drawn = {"histogram": (edges[:-1], shares[-1]), "above": (above, tails[-1])}
            for panel, (at, percent) in drawn.items():
                numbers = {"model": model, "subject": subject, "panel": panel, "r": at, "percent": percent}
                shown.append(pd.DataFrame(numbers))
        left.stairs(np.mean(shares, 0), edges, color=style.INK, linewidth=2, label="mean of subjects")
        right.plot(above, np.mean(tails, 0), color=style.INK, linewidth=2)
        left.axvline(0, color=style.MUTED, linewidth=0.8)
        left.set_title(model)
        left.set_ylabel("voxels (% per bin)")
        right.set_ylabel("voxels above r (%)")
        right.set_yscale("log")
        right.set_ylim(0.05, 110)
        right.set_yticks([0.1, 1, 10, 100], labels=["0.1", "1", "10", "100"])
        left.legend(loc="upper right")
    for axes in panels[-1]:
        axes.set_xlabel("test correlation r")
    return figure, pd.concat(shown, ignore_index=True)


def draw_ceiling_distribution(voxels: pd.DataFrame, room: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Noise ceilings of the reliable voxels, and how near the best model comes to them.

    Args:
        voxels, room: tables of these names.
    """
    ceiling = with_room(voxels, room)
    if not ceiling.reliable.any():
        return style.sentence("No noise ceiling: the test story has no repeats.")
    hues = style.colours(sorted(ceiling.subject.unique()))
    figure, panels = style.grid(1, 3, height=2.9)
    columns = {
        "ccmax": "noise ceiling CCmax\n(correlation)",
        "ccnorm": "share of it reached\nCCnorm = r / CCmax",
        "room": "room left, CCmax − r\n(correlation)",
    }
    for axes, (column, label) in zip(panels, columns.items(), strict=True):
        values = ceiling[column].dropna()
        low, high = np.percentile(values, [0.5, 99.5]) if len(values) else (0.0, 1.0)
        edges = np.linspace(min(low, 0.0), max(high, 1.0 if column == "ccmax" else high), 31)
        sizes = style.sizes(hues, 9)
        for subject, part in ceiling.groupby("subject"):
            known = part[column].dropna()
            text = f"{subject}: {100 * part.reliable.mean():.0f} % reliable"
            style.draw_histogram(axes, known, edges, color=hues[subject], linewidth=1.4, label=text)
            if len(known):
                mark = {"marker": "^", "markersize": sizes[subject], "clip_on": False, "zorder": 5}
                axes.plot(known.median(), 0, color=hues[subject], **mark)
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("share of reliable voxels (% per bin)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure, ceiling[["subject", "voxel", "roi", "reliable", "r_ceiling", *columns]]


def draw_variance_partition(stacking: pd.DataFrame, voxels: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Variance that only the semantic model, only the speech model, and both explain, by region.

    Args:
        stacking, voxels: tables of these names.
    """
    parts = {
        "unique_language": ("only language", style.PALETTE[0]),
        "shared": ("shared", style.PALETTE[3]),
        "unique_speech": ("only speech", style.PALETTE[1]),
    }
    shares = with_place(stacking, voxels)
    shares = shares.groupby(["subject", "roi"], as_index=False, sort=False)[list(parts)].mean()
    shares = shares.dropna()
    if shares.empty:
        return style.sentence("No variance partition: stacking needs a language and a speech member.")
    mean = shares.groupby("roi", sort=False)[list(parts)].mean()
    regions = list(mean.sum(axis=1).sort_values().index)
    place = np.arange(len(regions), dtype=float)
    figure, axes = style.grid(height=1.0 + 0.62 * len(regions))
    signs = style.markers(sorted(shares.subject.unique()))
    for k, (column, (label, colour)) in enumerate(parts.items()):
        at = place + 0.26 * (1 - k)
        axes.barh(at, mean.loc[regions, column], height=0.24, color=colour, alpha=0.75, label=label)
        for subject, sign in signs.items():
            mine = shares[shares.subject == subject].set_index("roi")[column].reindex(regions)
            axes.plot(mine, at, sign, label=subject if k == 0 else None, **style.HOLLOW)
    style.name_rows(axes, place, regions)
    axes.set_xlabel("explained variance (signed r², mean over the region's voxels)")
    style.panel_legend(axes)
    return figure, shares
