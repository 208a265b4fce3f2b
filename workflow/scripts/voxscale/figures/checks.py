"""Figures that ask whether to believe the others: artifact, controls, drift of the ceiling, known truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from voxscale.figures import style
from voxscale.figures.frames import best_layer, full_training, voxel_set_label
from voxscale.figures.scaling import METRICS


@style.house
def draw_artifact(
    artifact: pd.DataFrame, *, metric: str = "r", cut_s: float = 100.0, models: Sequence[str] | None = None
) -> tuple[Figure, pd.DataFrame]:
    """What a score gains or loses when less or more is cut from each test story's start, by region and model.

    Scores are drawn as differences from that at the study's own cut: regions and models lie far apart, and
    what the first seconds add is small beside that. A band is the interval of a subject's difference, both
    cuts resampled together. Each panel has its own scale.

    Args:
        artifact: table `artifact`.
        cut_s: the study's own cut.
        models: which to draw; all when not given.
    """
    cuts = artifact[(artifact.metric == metric) & artifact.voxel_set.str.match(r"all$|roi:")]
    cuts = cuts.dropna(subset=["y"])
    if models is not None:
        cuts = cuts[cuts.model.isin(models)]
    if cuts.empty:
        return style.sentence("No score against the cut: the fits kept no moments of the test story.")
    # ASSUME: the measured cut nearest to the study's own stands for it.
    own = cuts.cut_s.iloc[(cuts.cut_s - cut_s).abs().argmin()]
    cuts = cuts.assign(y_own=cuts.y - cuts.difference)
    averaged = cuts.groupby(["model", "layer", "voxel_set", "cut_s"], as_index=False, sort=False)
    mean = averaged[["y", "y_own", "difference"]].mean()
    sets = list(dict.fromkeys(cuts.voxel_set))
    columns = style.columns(len(sets))
    rows = -(-len(sets) // columns)
    figure, panels = style.grid(rows, columns, height=0.9 + 2.0 * rows, sharex=True, squeeze=False)
    hues = style.colours(dict.fromkeys(cuts.model))
    for axes, voxel_set in zip(panels.flat, sets, strict=False):
        part = cuts[cuts.voxel_set == voxel_set]
        axes.axhline(0, color=style.MUTED, linewidth=0.8)
        axes.axvline(own, color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        for (model, _), line in part.groupby(["model", "subject"], sort=False):
            (shown,) = axes.plot(line.cut_s, line.difference, color=hues[model], linewidth=0.8, alpha=0.5)
            style.label_points(shown, line)
            band = line.cut_s, line.difference_lo, line.difference_hi
            axes.fill_between(*band, color=hues[model], alpha=0.1, linewidth=0)
        averages = mean[mean.voxel_set == voxel_set].groupby("model", sort=False)
        for i, (model, line) in enumerate(averages):
            (shown,) = axes.plot(line.cut_s, line.difference, color=hues[model], linewidth=2.2)
            style.label_points(shown, line.assign(subject="mean"))
            where = {"x": 0.98, "y": 0.97 - 0.11 * i, "transform": axes.transAxes, "ha": "right", "va": "top"}
            where["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(s=_uncut(line), color=hues[model], fontsize=8, fontweight="bold", **where)
        axes.set_title(voxel_set_label(voxel_set))
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + (high - low) * (0.06 + 0.15 * len(averages)))  # room for what is told
    style.hide_spare(panels, len(sets))
    figure.supxlabel("cut from the start of each test story (s); dashed: the cut of this study", fontsize=9)
    figure.supylabel(f"{METRICS[metric]}, less that at this study's cut", fontsize=9)
    handles = [Line2D([], [], color=hue, linewidth=2.2, label=f"{m}, mean") for m, hue in hues.items()]
    handles.append(
        Line2D([], [], color=style.MUTED, linewidth=0.8, alpha=0.6, label="single subjects, with intervals")
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    data = pd.concat([cuts, mean.assign(subject="mean")], ignore_index=True)
    kept = ["voxel_set", "model", "layer", "subject", "cut_s", "y"]
    kept += ["difference", "difference_lo", "difference_hi"]
    return figure, data[kept].assign(metric=metric)


def _uncut(line: pd.DataFrame) -> str:
    """The score at the study's cut and without any, and the difference in percent where there is a score."""
    uncut, own = line.sort_values("cut_s").y.iloc[0], line.y_own.iloc[0]
    percent = f" ({style.format_signed(100 * (uncut / own - 1))} %)" if own > 0.02 else ""
    return f"{own:.2f}, uncut {uncut:.2f}{percent}".replace("-", "\u2212")


@style.house
def draw_controls(
    summary: pd.DataFrame, *, metric: str = "r2", voxel_set: str = "all", controls: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Every model, at one layer, beside the controls: a bar for the mean of subjects, a mark for each.

    Args:
        summary: table `summary`; of it the largest training set and the layer best inside training.
        controls: models that are controls whatever their modality, such as untrained ones.
    """
    summary = summary[summary.modality != "derived"]
    summary = summary.assign(modality=summary.modality.mask(summary.model.isin(controls), "control"))
    scores = best_layer(full_training(summary, voxel_set)).rename(columns={f"mean_{metric}": "score"})
    scores = scores.dropna(subset=["score"])[["modality", "family", "model", "layer", "subject", "score"]]
    if scores.empty:
        return style.sentence("No scores to set beside each other.")
    order = [m for m in ("language", "speech", "nested", "control") if m in set(scores.modality)]
    tints = {"language": style.PALETTE[0], "speech": style.PALETTE[1], "nested": style.PALETTE[2]}
    mean = scores.groupby(["modality", "model"], as_index=False, sort=False).score.mean()
    mean["rank"] = mean.modality.map({m: i for i, m in enumerate(order)})
    mean = mean.sort_values(["rank", "score"], ascending=[False, True]).reset_index(drop=True)
    figure, axes = style.grid(height=0.9 + 0.2 * len(mean))
    place = dict(zip(mean.model, mean.index, strict=True))
    axes.barh(
        mean.index,
        mean.score,
        height=0.66,
        color=[tints.get(m, "#9aa5b0") for m in mean.modality],
        alpha=0.55,
    )
    (ends,) = axes.plot(mean.score, mean.index, linestyle="none")
    style.label_points(ends, mean.assign(subject="mean"))
    signs = style.markers(sorted(scores.subject.unique()))
    for subject, part in scores.groupby("subject"):
        (shown,) = axes.plot(part.score, part.model.map(place), signs[subject], **style.HOLLOW)
        style.label_points(shown, part)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    axes.set_yticks(mean.index, mean.model, fontsize=7.5)
    axes.set_ylim(-0.6, len(mean) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{METRICS[metric]}, {voxel_set_label(voxel_set)} voxels")
    handles: list[Any] = [
        Line2D([], [], color=tints.get(m, "#9aa5b0"), linewidth=7, alpha=0.55, label=m) for m in order
    ]
    handles += [Line2D([], [], marker=sign, label=subject, **style.HOLLOW) for subject, sign in signs.items()]
    style.panel_legend(axes, handles)
    return figure, scores.assign(metric=metric, voxel_set=voxel_set)


@style.house
def draw_ceiling_drift(drift: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How the response to the test story changes from one hearing to the next.

    Args:
        drift: table `drift`: mean correlation of each repeat with the mean of the others.
    """
    drift = drift.dropna(subset=["r"])
    if drift.empty:
        return style.sentence("No drift over repeats: the test story was heard once.")
    regions = list(dict.fromkeys(drift.roi))
    columns = style.columns(len(regions))
    rows = -(-len(regions) // columns)
    figure, panels = style.grid(
        rows, columns, height=0.8 + 2.0 * rows, sharex=True, sharey=True, squeeze=False
    )
    hues = style.colours(sorted(drift.subject.unique()))
    for axes, region in zip(panels.flat, regions, strict=False):
        part = drift[drift.roi == region]
        for subject, line in part.groupby("subject"):
            axes.plot(line["repeat"], line.r, color=hues[subject], marker="o", label=subject)
        mean = part.groupby("repeat").r.mean()
        axes.plot(mean.index, mean, color=style.INK, linewidth=2, label="mean of subjects")
        axes.set_title(region.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
    style.hide_spare(panels, len(regions))
    figure.supxlabel("hearing of the test story (1: the first)", fontsize=9)
    figure.supylabel("mean correlation r with the other hearings", fontsize=9)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure, drift
