"""What more data or a larger model would buy: the joint law, the plateau, and the next step."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from voxscale.figures import style
from voxscale.figures.scaling import METRICS


@style.house
def draw_what_next(
    surface: pd.DataFrame, points: pd.DataFrame, options: pd.DataFrame, *, metric: str = "r2"
) -> tuple[Figure, pd.DataFrame]:
    """Left: fitted score over parameters and hours, with lines of equal score. Right: gain of each next step.

    Args:
        surface: the fitted law on a full grid: parameters, hours, fit.
        points: the measured cells, mean over subjects: parameters, hours, score.
        options: one row per step: option, gain, low, high.
    """
    if surface.empty and options.empty:
        return style.sentence(
            "No joint law: it needs at least two model sizes at two sizes of the training set."
        )
    figure, (left, right) = style.grid(1, 2, height=3.5, width_ratios=[1.25, 1])
    table = surface.pivot(index="hours", columns="parameters", values="fit")
    low = min(table.to_numpy().min(), points.score.min())
    high = max(table.to_numpy().max(), points.score.max())
    norm = mpl.colors.Normalize(low, high)
    left.contourf(
        table.columns, table.index, table, levels=np.linspace(low, high, 25), cmap="cividis", norm=norm
    )
    lines = left.contour(table.columns, table.index, table, levels=6, colors="white", linewidths=0.8)
    left.clabel(lines, fmt="%.3g", fontsize=7)
    left.scatter(
        points.parameters,
        points.hours,
        c=points.score,
        cmap="cividis",
        norm=norm,
        s=46,
        edgecolors="white",
        linewidths=1.0,
        zorder=4,
        clip_on=False,
    )
    left.set_xscale("log")
    left.set_yscale("log")
    for axis, values, form in (
        (left.xaxis, table.columns, style.count),
        (left.yaxis, table.index, lambda v, _: f"{v:.2g}"),
    ):
        span = np.log10(max(values) / min(values))
        axis.set_major_locator(
            LogLocator(subs=(1.0,) if span > 3.5 else (1.0, 3.0) if span > 1.6 else (1.0, 2.0, 5.0))
        )
        axis.set_major_formatter(FuncFormatter(form))
        axis.set_minor_formatter(NullFormatter())
    left.grid(visible=False)
    left.set_xlabel("model size (parameters)")
    left.set_ylabel("training data (hours)")
    left.set_title("Fitted score; dots: measured")
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, "cividis"), ax=left, pad=0.02)
    bar.set_label(METRICS[metric])
    bar.outline.set_linewidth(0.5)

    options = options.reset_index(drop=True)
    place = np.arange(len(options))[::-1]
    right.errorbar(
        options.gain,
        place,
        xerr=[(options.gain - options.low).clip(0), (options.high - options.gain).clip(0)],
        fmt="o",
        color=style.PALETTE[0],
        ecolor=style.PALETTE[4],
        elinewidth=3,
        markersize=6,
    )
    right.axvline(0, color=style.MUTED, linewidth=0.8)
    right.set_yticks(place, options.option, fontsize=8)
    right.set_ylim(-0.6, len(options) - 0.4)
    right.grid(axis="y", visible=False)
    right.set_xlabel(f"expected gain in\n{METRICS[metric]}")
    right.set_title("What to do next")
    data = pd.concat(
        [surface.assign(series="law"), points.assign(series="measured"), options.assign(series="option")],
        ignore_index=True,
    )
    return figure, data


@style.house
def draw_plateau(
    points: pd.DataFrame, laws: pd.DataFrame, *, metric: str = "r2", voxels: str = "all"
) -> tuple[Figure, pd.DataFrame]:
    """Is the plateau the model's or the width's? Raw and fixed-width scores; fits with and without p > n.

    Args:
        points: one row per model and arm: model, family, arm (`raw`, `fixed width`), x (parameters), score,
            bits_per_character (may be NaN), p_over_n.
        laws: one row per line: label, x, fit.
    """
    points = points.dropna(subset=["score"])
    if points.empty:
        return style.sentence("No plateau analysis: the study has no size sweep of language models.")
    known = points.dropna(subset=["bits_per_character"])
    figure, panels = style.grid(1, 2 if len(known) else 1, height=3.4, squeeze=False)
    left = panels[0, 0]
    shapes = style.markers(sorted(points.family.unique()))
    hues = {arm: colour for arm, colour in zip(dict.fromkeys(points.arm), style.PALETTE, strict=False)}
    for (arm, family), part in points.groupby(["arm", "family"], sort=False):
        part = part.sort_values("x")
        left.plot(part.x, part.score, color=hues[arm], linewidth=1, alpha=0.6)
        for crowded, face in ((False, hues[arm]), (True, "white")):
            use = part[part.p_over_n == crowded]
            left.plot(
                use.x,
                use.score,
                shapes[family],
                color=hues[arm],
                markerfacecolor=face,
                markersize=5.5,
                linestyle="none",
            )
    dashes = ["-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5))]
    handles = [Line2D([], [], color=hues[a], marker="o", label=a) for a in hues]
    handles += [
        Line2D(
            [],
            [],
            color=style.MUTED,
            marker="o",
            markerfacecolor="white",
            linestyle="none",
            label="features > TRs",
        )
    ]
    for (label, line), dash in zip(laws.groupby("label", sort=False), dashes, strict=False):
        line = line.sort_values("x")
        left.plot(line.x, line.fit, color=style.LAW, linestyle=dash, linewidth=1.3)
        handles.append(Line2D([], [], color=style.LAW, linestyle=dash, label=label))
    handles += [
        Line2D([], [], color=style.MUTED, marker=shapes[f], linestyle="none", label=f) for f in shapes
    ]
    style.log_axis(left, points.x.to_numpy())
    left.set_xlabel("model size (parameters)")
    left.set_ylabel(f"{METRICS[metric]}, {voxels} voxels")
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    if len(known):
        right = panels[0, 1]
        for (arm, family), part in known.groupby(["arm", "family"], sort=False):
            right.plot(part.bits_per_character, part.score, shapes[family], color=hues[arm], linestyle="none")
        right.invert_xaxis()
        right.set_xlabel("bits per character of the same stories\n(better models to the right)")
        right.set_ylabel(METRICS[metric])
    data = pd.concat(
        [points.assign(series="points"), laws.rename(columns={"fit": "score"}).assign(series="law")]
    )
    return figure, data.reset_index(drop=True)
