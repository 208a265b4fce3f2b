"""Score by layer, at relative depth, one panel per family; and what choosing on the test set would add."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from voxscale.figures import style
from voxscale.figures.scaling import R2_LABEL


def draw_layers(layers: pd.DataFrame, *, order: list[str] | None = None) -> tuple[Figure, pd.DataFrame]:
    """One panel per family, a thick line per model (mean of subjects), a thin one per subject in an interval.

    Args:
        layers: table `layers`.
        order: models from the smallest to the largest.
    """
    layers = layers[layers.voxel_set == "all"].dropna(subset=["mean_r2"])
    layers = layers.rename(columns={"mean_r2": "score", "r2_lo": "lo", "r2_hi": "hi"})
    layers = layers[layers.groupby("model").layer.transform("nunique") > 1]
    if layers.empty:
        return style.sentence("No layer sweep in this study: name one under profiles.sweep.")
    families = list(dict.fromkeys(layers.family))
    x = "relative depth (0: embedding, 1: last layer)"
    figure, panels = style.facets(families, x, f"{R2_LABEL}, all voxels", 2.4, sharey=True)
    mean = layers.groupby(["family", "model", "layer", "depth"], as_index=False, sort=False).agg(
        score=("score", "mean"), chosen=("chosen", "any")
    )
    for axes, family in zip(panels, families, strict=True):
        part = layers[layers.family == family]
        models = sorted(set(part.model), key=(order or list(dict.fromkeys(part.model))).index)
        ramp = mpl.colormaps["cividis"](np.linspace(0.0, 0.85, max(len(models), 2)))  # dark: small
        shades = {model: tuple(colour) for model, colour in zip(models, ramp, strict=False)}
        for (model, _), line in part.groupby(["model", "subject"], sort=False):
            line = line.sort_values("depth")
            (shown,) = axes.plot(line.depth, line.score, color=shades[model], linewidth=0.7, alpha=0.4)
            style.label_points(shown, line)
            axes.fill_between(line.depth, line.lo, line.hi, color=shades[model], alpha=0.07, linewidth=0)
        for model in models:
            line = mean[mean.model == model].sort_values("depth")
            bold = {"color": shades[model], "marker": "o", "markersize": 3.5, "linewidth": 1.9}
            style.label_points(axes.plot(line.depth, line.score, **bold)[0], line.assign(subject="mean"))
            best = line[line.chosen]
            axes.plot(best.depth, best.score, "o", markersize=9, markerfacecolor="none", color=shades[model])
        axes.set_xlim(-0.05, 1.05)
        keys = [style.key(model, shades[model], marker="o", markersize=3.5) for model in models]
        axes.legend(handles=keys, fontsize=7)
    data = pd.concat([layers, mean.assign(subject="mean")], ignore_index=True)
    kept = ["family", "model", "layer", "depth", "subject", "score", "lo", "hi", "chosen", "best_on_test"]
    return figure, data[kept].assign(metric="r2", voxel_set="all")
