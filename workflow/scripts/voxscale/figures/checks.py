"""Figures that check the others: artifact, controls, drift of the ceiling."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from voxscale.figures import style
from voxscale.figures.frames import best_layer, full_training, voxel_set_label
from voxscale.figures.scaling import DASH, R2_LABEL, R_LABEL

_LEAST_SPAN, _HIGHEST = 0.2, 1.02  # of an axis of correlations
_KINDS = ("language", "speech", "nested", "features", "embeddings", "control")
TINTS = dict(zip(_KINDS, (*style.PALETTE[:5], "#9aa5b0"), strict=True))


def draw_artifact(artifact: pd.DataFrame, *, cut_s: float = 100.0) -> tuple[Figure, pd.DataFrame]:
    """What a score gains or loses when less or more is cut from each test story's start, by region and model.

    Scores are drawn as differences from that at the study's own cut: regions and models lie far apart, and
    what the first seconds add is small in comparison. A band is the interval of a subject's difference, both
    cuts resampled together. Each panel has its own scale.

    Args:
        artifact: table `artifact`.
        cut_s: the study's own cut.
    """
    cuts = artifact[(artifact.metric == "r") & artifact.voxel_set.str.match(r"all$|roi:")]
    cuts = cuts.dropna(subset=["y", "difference"])
    if cuts.empty:
        return style.sentence("No score against the cut: the test stories are too short to be cut otherwise.")
    # ASSUME: the measured cut nearest to the study's own stands for it.
    own = cuts.cut_s.iloc[(cuts.cut_s - cut_s).abs().argmin()]
    cuts = cuts.assign(y_own=cuts.y - cuts.difference)
    averaged = cuts.groupby(["model", "layer", "voxel_set", "cut_s"], as_index=False, sort=False)
    mean = averaged[["y", "y_own", "difference"]].mean()
    sets = list(dict.fromkeys(cuts.voxel_set))
    x = "cut from the start of each test story (s); dashed: the cut of this study"
    y = f"{R_LABEL}, less that at this study's cut"
    figure, panels = style.facets([voxel_set_label(name) for name in sets], x, y, 2.0)
    hues = style.colours(dict.fromkeys(cuts.model))
    for axes, voxel_set in zip(panels, sets, strict=True):
        part = cuts[cuts.voxel_set == voxel_set]
        axes.axhline(0, color=style.MUTED, linewidth=0.8)
        axes.axvline(own, color=style.MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        for (model, *_), line in part.groupby(["model", "layer", "subject"], sort=False):
            (shown,) = axes.plot(line.cut_s, line.difference, color=hues[model], linewidth=0.8, alpha=0.5)
            style.label_points(shown, line)
            band = line.cut_s, line.difference_lo, line.difference_hi
            axes.fill_between(*band, color=hues[model], alpha=0.1, linewidth=0)
        averages = mean[mean.voxel_set == voxel_set].groupby(["model", "layer"], sort=False)
        for i, ((model, _), line) in enumerate(averages):
            (shown,) = axes.plot(line.cut_s, line.difference, color=hues[model], linewidth=2.2)
            style.label_points(shown, line.assign(subject="mean"))
            where = {"x": 0.98, "y": 0.97 - 0.11 * i, "transform": axes.transAxes, "ha": "right", "va": "top"}
            where["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(s=_uncut(line), color=hues[model], fontsize=8, fontweight="bold", **where)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + (high - low) * (0.06 + 0.15 * len(averages)))  # room for the texts
    handles = [style.key(f"{model}, mean", hue, linewidth=2.2) for model, hue in hues.items()]
    handles.append(style.key("single subjects, with intervals", linewidth=0.8, alpha=0.6))
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    data = pd.concat([cuts, mean.assign(subject="mean")], ignore_index=True)
    kept = ["voxel_set", "model", "layer", "subject", "cut_s", "y"]
    kept += ["difference", "difference_lo", "difference_hi"]
    return figure, data[kept].assign(metric="r")


def _uncut(line: pd.DataFrame) -> str:
    """The score at the study's cut and without any, and the difference in percent where there is a score."""
    uncut, own = line.sort_values("cut_s").y.iloc[0], line.y_own.iloc[0]
    percent = f" ({style.format_signed(100 * (uncut / own - 1))} %)" if own > 0.02 else ""
    return style.minus(f"{own:.2f}, uncut {uncut:.2f}{percent}")


def draw_controls(summary: pd.DataFrame, *, controls: Sequence[str] = ()) -> tuple[Figure, pd.DataFrame]:
    """Every model, at one layer, and the controls: a bar for the mean of subjects, a mark for each.

    Args:
        summary: table `summary`; of it the largest training set and the layer best inside training.
        controls: models of any modality that are controls, such as untrained ones.
    """
    summary = summary[summary.modality != "derived"]
    summary = summary.assign(modality=summary.modality.mask(summary.model.isin(controls), "control"))
    scores = best_layer(full_training(summary)).rename(columns={"mean_r2": "score"})
    scores = scores.dropna(subset=["score"])[["modality", "family", "model", "layer", "subject", "score"]]
    if scores.empty:
        return style.sentence("No scores to compare.")
    tints = {modality: tint for modality, tint in TINTS.items() if modality in set(scores.modality)}
    mean = scores.groupby(["modality", "model"], as_index=False, sort=False).score.mean()
    mean["rank"] = mean.modality.map({m: i for i, m in enumerate(tints)})
    mean = mean.sort_values(["rank", "score"], ascending=[False, True]).reset_index(drop=True)
    figure, axes = style.grid(height=0.9 + 0.2 * len(mean))
    place = dict(zip(mean.model, mean.index, strict=True))
    axes.barh(mean.index, mean.score, height=0.66, color=[tints[m] for m in mean.modality], alpha=0.55)
    (ends,) = axes.plot(mean.score, mean.index, linestyle="none")
    style.label_points(ends, mean.assign(subject="mean"))
    signs = style.markers(sorted(scores.subject.unique()))
    for subject, part in scores.groupby("subject"):
        (shown,) = axes.plot(part.score, part.model.map(place), signs[subject], **style.HOLLOW)
        style.label_points(shown, part)
    style.name_rows(axes, mean.index, mean.model, 7.5)
    axes.set_ylim(-0.6, len(mean) - 0.4)
    axes.set_xlabel(f"{R2_LABEL}, all voxels")
    handles = [style.key(modality, tint, linewidth=7, alpha=0.55) for modality, tint in tints.items()]
    handles += [Line2D([], [], marker=sign, label=subject, **style.HOLLOW) for subject, sign in signs.items()]
    style.panel_legend(axes, handles)
    return figure, scores.assign(metric="r2", voxel_set="all")


def draw_ceiling_drift(drift: pd.DataFrame, *, interval: float = 0.9) -> tuple[Figure, pd.DataFrame]:
    """How the response to the test story changes from one hearing to the next, and the trend of the mean.

    A panel spans at least `_LEAST_SPAN`, so that no small scatter looks like a change.

    Args:
        drift: table `drift`: mean correlation of each repeat with the mean of the others.
        interval: coverage of the trend's interval, from the scatter of the hearings about it.
    """
    drift = drift.dropna(subset=["r"])
    if drift.empty:
        return style.sentence("No drift over repeats: the test story was heard once.")
    regions = list(dict.fromkeys(drift.roi))
    x, y = "hearing of the test story (1: the first)", "mean correlation r with the other hearings"
    figure, panels = style.facets([name.replace("_", " ") for name in regions], x, y, 2.0)
    trends = []
    hues = style.colours(sorted(drift.subject.unique()))
    for axes, region in zip(panels, regions, strict=True):
        part = drift[drift.roi == region]
        for subject, line in part.groupby("subject"):
            axes.plot(line["repeat"], line.r, color=hues[subject], marker="o", label=subject)
        mean = part.groupby("repeat").r.mean()
        axes.plot(mean.index, mean, color=style.INK, linewidth=2, label="mean of subjects")
        if len(mean) > 2:
            trends.append(_trend(mean, interval).assign(roi=region))
            line, slope = trends[-1], trends[-1].iloc[0]
            label = f"trend of the mean, {interval:.0%} interval"
            axes.plot(line["repeat"], line.trend, color=style.LAW, linestyle=DASH, label=label)
            axes.fill_between(line["repeat"], line.lo, line.hi, color=style.LAW, alpha=0.15, linewidth=0)
            ends = (f"{1000 * slope[name]:+.1f}" for name in ("slope", "slope_lo", "slope_hi"))
            text = "{} [{}, {}]\nthousandths per hearing".format(*ends)
            look = {"fontsize": 7.5, "color": style.LAW, "va": "bottom", "transform": axes.transAxes}
            axes.text(0.03, 0.03, style.minus(text), **look)
        axes.xaxis.get_major_locator().set_params(integer=True)
        low, high = axes.get_ylim()
        lacks = max(_LEAST_SPAN - (high - low), 0.0) / 2
        beyond = max(high + lacks - _HIGHEST, 0.0)
        axes.set_ylim(low - lacks - beyond, high + lacks - beyond)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure, drift if not trends else drift.merge(pd.concat(trends), on=["roi", "repeat"])


def _trend(mean: pd.Series, interval: float) -> pd.DataFrame:
    """A straight line through the hearings' means, with the interval of the line and of its slope.

    Args:
        mean: r of each hearing, by its number.
    """
    from scipy import stats  # takes a while to import

    x = mean.index.to_numpy(float)
    fit, reach = stats.linregress(x, mean), stats.t.ppf(0.5 + interval / 2, len(x) - 2)
    line = fit.intercept + fit.slope * x
    error = np.hypot(fit.stderr * (x - x.mean()), fit.stderr * x.std())
    ends = {"lo": line - reach * error, "hi": line + reach * error, "slope": fit.slope}
    ends |= {"slope_lo": fit.slope - reach * fit.stderr, "slope_hi": fit.slope + reach * fit.stderr}
    return pd.DataFrame({"repeat": mean.index, "trend": line, **ends})
