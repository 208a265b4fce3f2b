"""What more data or a larger model would buy: the joint law, the next step, and the plateau."""

import itertools
import textwrap
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from voxscale.figures import style
from voxscale.figures.frames import choose, mean_of_subjects
from voxscale.figures.scaling import AXES, DASH, DOTS, R2_LABEL, law_line

AT_LEAST = 5  # a value of N or D with fewer rows is a measured point's, not the grid's


def draw_what_next(
    joint: pd.DataFrame, joint_surface: pd.DataFrame, what_next: pd.DataFrame
) -> tuple[Figure, pd.DataFrame]:
    """Left: fitted score over parameters and hours, with lines of equal score. Right: gain of each next step.

    Args:
        joint, joint_surface, what_next: tables of these names.
    """
    joint, surface, options = choose(joint), choose(joint_surface), choose(what_next)
    mean_of = mean_of_subjects(joint)
    fitted = surface[surface.subject == mean_of]
    said = joint[joint.subject == mean_of]
    if fitted.empty:
        lacking = next(iter(said.lacking.dropna()), "no form can be fitted to the points")
        return style.sentence(f"No next step is advised: {lacking}.")
    figure, (left, right) = style.grid(1, 2, height=3.6, width_ratios=[1.3, 1])
    _draw_surface(figure, left, fitted)
    _draw_options(right, options, mean_of)
    below = [f"left out: {text}" for text in said.left_out.dropna().unique()]
    below += [f"at its bound: {text}" for text in said[said.preferred].at_bound.dropna()]
    below += _another_subject(options)
    figure.supxlabel("\n".join(textwrap.fill(text, 120) for text in below), x=0.01, ha="left", fontsize=7.5)
    data = pd.concat([fitted.assign(series="surface"), options.assign(series="option")], ignore_index=True)
    return figure, data


def _draw_surface(figure: Figure, axes: Axes, fitted: pd.DataFrame) -> None:
    measured = fitted.dropna(subset=["observed"]).drop_duplicates(["parameters", "hours"])
    grid = fitted.drop_duplicates(["parameters", "hours"])
    for name in ("parameters", "hours"):
        grid = grid[grid.groupby(name)[name].transform("size") >= AT_LEAST]
    table = grid.pivot(index="hours", columns="parameters", values="fitted")
    low = min(np.nanmin(table.to_numpy()), measured.observed.min())
    high = max(np.nanmax(table.to_numpy()), measured.observed.max())
    norm = mpl.colors.Normalize(low, high)
    levels = np.linspace(low, high, 25)
    axes.contourf(table.columns, table.index, table, levels=levels, cmap="cividis", norm=norm)
    lines = axes.contour(table.columns, table.index, table, levels=6, colors="white", linewidths=0.8)
    dots = {"cmap": "cividis", "s": 44, "edgecolors": "white", "linewidths": 1.1, "clip_on": False}
    axes.scatter(measured.parameters, measured.hours, c=measured.observed, norm=norm, zorder=4, **dots)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _label_inside(axes, lines)
    style.log_ticks(axes.xaxis, table.columns)
    style.log_ticks(axes.yaxis, table.index, lambda value, _: f"{value:.2g}")
    axes.grid(visible=False)
    axes.set_xlabel(AXES["parameters"])
    axes.set_ylabel(AXES["hours"])
    axes.set_title("Fitted score; dots: measured")
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, "cividis"), ax=axes, pad=0.02)
    bar.set_label(R2_LABEL)
    bar.outline.set_linewidth(0.5)


def _label_inside(axes: Axes, lines: ContourSet) -> None:
    """Label each line in its middle; none where its label would be cut off at the axes' edge."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = []
    for line in itertools.chain.from_iterable(lines.allsegs):
        inside = np.flatnonzero((np.abs(to_axes.transform(line) - 0.5) < 0.42).all(axis=1))
        if len(inside):
            places.append(line[inside[len(inside) // 2]])
    axes.clabel(lines, fmt="%.2g", fontsize=7, manual=places)


def _draw_options(axes: Axes, options: pd.DataFrame, mean_of: str) -> None:
    gains = options[options.unit == "metric"]
    names = list(dict.fromkeys(gains.option))
    place = {name: len(names) - 1 - i for i, name in enumerate(names)}
    percent = options[(options.subject == mean_of) & options.unit.str.startswith("%")]
    percent = percent.set_index("option").gain
    mine = gains[gains.subject == mean_of]
    bars = {"fmt": "o", "color": style.INK, "ecolor": "#aab4be", "elinewidth": 3, "markersize": 6}
    reach = [(mine.gain - mine.lo).clip(0), (mine.hi - mine.gain).clip(0)]
    axes.errorbar(mine.gain, mine.option.map(place).astype(float), xerr=reach, zorder=3, **bars)
    subjects = sorted(set(gains.subject) - {"pooled"})
    hues, nudge = style.colours(subjects), style.nudges(subjects, 0.12 * (len(subjects) - 1))
    for subject in subjects if mean_of == "pooled" else []:
        part = gains[gains.subject == subject]
        at = part.option.map(place).astype(float) - 0.27 + nudge[subject]
        axes.plot(part.gain, at, "o", color=hues[subject], markersize=4, label=subject)
    wrapped = [name.replace(" (", "\n(").replace(" times the parameters)", "× parameters)") for name in names]
    labels = [
        text + (f"\n{percent[name]:+.1f} %" if name in percent else "")
        for name, text in zip(names, wrapped, strict=True)
    ]
    style.name_rows(axes, [place[name] for name in names], labels, 7.5)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.xaxis.get_major_locator().set_params(nbins=4)
    axes.set_xlabel(f"expected gain in\n{R2_LABEL}\n(of these models)")
    axes.set_title("What to do next")
    if shown := len(axes.get_legend_handles_labels()[0]):
        axes.set_ylim(top=len(names) + 0.1 * -(-shown // 3))  # room above the steps
        axes.legend(loc="upper right", fontsize=7, ncols=3, columnspacing=1)


def _another_subject(options: pd.DataFrame) -> list[str]:
    """What one more subject would bring: no gain in score, so that the axis cannot show it."""
    known = options[options.option == "another subject"].dropna(subset=["gain"])
    return [
        "Another subject would not raise the score, but make the mean over subjects more certain: the half "
        f"width of its interval would be smaller by about {-row.gain:.2g} ({-row.hi:.2g} to {-row.lo:.2g})."
        for row in known.head(1).itertuples()
    ]


def draw_plateau(
    law_points: pd.DataFrame,
    laws: pd.DataFrame,
    plateau: pd.DataFrame,
    plateau_fits: pd.DataFrame,
    *,
    arms: Mapping[str, str],
) -> tuple[Figure, pd.DataFrame]:
    """Is the plateau the models' or the feature count's? Laws with and without the points where p > n.

    Args:
        law_points, laws: tables of these names.
        plateau, plateau_fits: tables of these names; may be empty.
        arms: what to call each law, the first with raw features, the others with fixed width.
    """
    points = choose(law_points)
    points = points[points.law.isin(arms)]
    points = points[points.subject == mean_of_subjects(points)].dropna(subset=["y"])
    if points.empty:
        return style.sentence("No plateau analysis: the study has no law over the size of language models.")
    points = points.assign(family=points.group, arm=points.law.map(arms))
    bits = plateau[["model", "bits_per_character"]].drop_duplicates("model")
    bits = bits.astype({"bits_per_character": float})
    points = points.merge(bits, on="model", how="left").sort_values("x")
    known = points.dropna(subset=["bits_per_character"])
    shapes = style.markers(sorted(points.family.unique()))
    hues = dict(zip(dict.fromkeys(arms[law] for law in arms), style.PALETTE, strict=False))
    figure, panels = style.grid(1, 2 if len(known) else 1, height=3.6, squeeze=False)
    left = panels[0, 0]
    for (arm, family), part in points.groupby(["arm", "family"], sort=False):
        left.plot(part.x, part.y, color=hues[arm], linewidth=1, alpha=0.6)
        for wide, face in ((False, hues[arm]), (True, "white")):
            use = part[part.wide == wide]
            left.plot(use.x, use.y, shapes[family], color=hues[arm], markerfacecolor=face, markersize=5.5)
    handles = [style.key(arm, hue, marker="o") for arm, hue in hues.items()]
    if points.wide.any():
        hollow = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        handles.append(style.key("features > training TRs", **hollow))
    handles += [style.key(family, marker=shape, linestyle="none") for family, shape in shapes.items()]
    lines = _lines(left, points, laws, arms, handles)
    style.log_axis(left, points.x.to_numpy())
    left.set_xlabel(AXES[points.x_name.iloc[0]])
    left.set_ylabel(f"{R2_LABEL}, all voxels")
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    if len(known):
        right = panels[0, 1]
        for (arm, family), part in known.groupby(["arm", "family"], sort=False):
            right.plot(part.bits_per_character, part.y, shapes[family], color=hues[arm])
        right.invert_xaxis()
        right.ticklabel_format(axis="x", useOffset=False)
        right.tick_params(axis="x", rotation=30)
        right.set_xlabel("bits per character of the stories\n(better models to the right)")
        right.set_ylabel(R2_LABEL)
        fits = choose(plateau_fits).dropna(subset=["left_out_rmse"])
        fits = fits[(fits.law == next(iter(arms))) & (fits.subject == points.subject.iloc[0])]
        errors = [f"{row.predictor}: {row.left_out_rmse:.2g}" for row in fits.itertuples()]
        if errors:
            right.set_title("error at models left out\n" + ", ".join(errors), fontsize=8, fontweight="normal")
    data = pd.concat([points.assign(series="points"), *lines], ignore_index=True)
    kept = ["series", "arm", "family", "model", "x", "y", "lo", "hi", "wide", "bits_per_character"]
    return figure, data[kept].assign(metric="r2", voxel_set="all")


def _lines(
    axes: Axes, points: pd.DataFrame, laws: pd.DataFrame, arms: Mapping[str, str], handles: list
) -> list[pd.DataFrame]:
    """Draw the log-linear law of raw features with and without the wide points, and of each fixed width."""
    fits = choose(laws[(laws.form == "log_linear") & (laws.group == "all")])
    fits = fits[fits.subject == mean_of_subjects(points)]
    first, *others = arms
    wanted = [(first, "all", "law of all points", "-"), (first, "narrow", "law without them", DASH)]
    wanted += [(law, "all", f"law of {arms[law]}", DOTS) for law in others]
    drawn = []
    for law, kept, label, dash in wanted:
        fit = fits[(fits.points == kept) & (fits.law == law)]
        if fit.empty or fit.estimate.isna().all():
            continue
        line = law_line(fit, np.geomspace(points.x.min(), points.x.max(), 40))
        axes.plot(line.x, line.y, color=style.LAW, linestyle=dash, linewidth=1.3)
        handles.append(style.key(label, style.LAW, linestyle=dash))
        drawn.append(line.assign(series=label))
    return drawn
