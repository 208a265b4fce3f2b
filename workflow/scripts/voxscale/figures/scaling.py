"""Score against size: of the language model, of the speech model, of the training set."""

import re
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from voxscale.figures import style
from voxscale.figures.frames import choose, voxel_set_label
from voxscale.laws import FORMS

R_LABEL, R2_LABEL = "mean correlation r", "mean signed r² (r·|r|)"
AXES = {
    "parameters": "model size (parameters)",
    "parameters_non_embedding": "model size (parameters without embeddings)",
    "width": "feature width (dimensions)",
    "hours": "training data (hours)",
    "stories": "training data (stories)",
    "trs": "training data (TRs)",
}
X_UNITS = {"hours": "h", "width": "dimensions", "trs": "TRs", "parameters_non_embedding": "parameters"}
FORM = "log_linear"  # of the law that is drawn: the published percentages are of it
DATA = ("hours", "stories", "trs")
DASH, DOTS = (0, (5, 2)), (0, (1.2, 1.4))


def base_label(base: str, x_name: str) -> str:
    """What a percentage is of, in words: `fitted value at x = 1.25e+08` becomes `... at 125M parameters`."""
    unit = X_UNITS.get(x_name, x_name)
    return re.sub(
        r"x = ([\d.e+-]+)", lambda found: f"{style.format_count(float(found[1]))} {unit}", str(base)
    )


def _law_text(fit: pd.DataFrame, interval: float, x_name: str) -> str:
    """A law in words: slope per decade, the same as a percentage of its named base, and what it lacks.

    Args:
        fit: rows of one fit in table `laws`, one per parameter.
    """
    rows = fit.set_index("parameter")
    apart = ", an intercept per family" if rows.index.str.startswith("offset:").any() else ""
    holds = "" if x_name in DATA else " for models drawn anew"
    lines = [f"{rows.form.iloc[0].replace('_', '-')} law{apart},", f"{interval:.0%} interval{holds}:"]
    slope, share = rows.loc["per_decade"], rows.loc["percent_per_decade"]
    ends = "" if np.isnan(slope.lo) else f" [{slope.lo:+.2g}, {slope.hi:+.2g}]"
    lines.append(style.minus(f"{slope.estimate:+.2g} per decade{ends}"))
    if pd.notna(share.estimate):
        shown = [style.format_signed(value) for value in (share.estimate, share.lo, share.hi)]
        lines += [f"= {shown[0]} % [{shown[1]}, {shown[2]}] of the"]
        lines += textwrap.wrap(base_label(share.base, x_name), 38)
    for column, text in (("left_out", "left out"), ("lacking", "too little to conclude")):
        if pd.notna(said := rows[column].iloc[0]):
            lines += textwrap.wrap(f"{text}: {said}", 44)
    return "\n".join(lines)


def law_line(fit: pd.DataFrame, x: np.ndarray) -> pd.DataFrame:
    """A fitted law over x, without a band: from the parameters in table `laws`."""
    rows = fit.set_index("parameter")
    form = FORMS[rows.form.iloc[0]]
    parameters = rows.loc[list(form.parameters)].estimate.to_numpy()
    return pd.DataFrame({"x": x, "y": form.value(x, parameters), "lo": np.nan, "hi": np.nan})


def _draw_line(axes: Axes, fit: pd.DataFrame, band: pd.DataFrame, x: pd.Series, dash: tuple) -> pd.DataFrame:
    """Draw one law, with its band where there is one; give what was drawn."""
    if band.empty:
        band = law_line(fit, np.geomspace(x.min() / 1.5, x.max() * 1.5, 60))
    band = band.sort_values("x")
    if band.lo.notna().any():
        axes.fill_between(band.x, band.lo, band.hi, color=style.LAW, alpha=0.15, linewidth=0, zorder=1)
    axes.plot(band.x, band.y, color=style.LAW, linestyle=dash, linewidth=1.6, zorder=4)
    return band.assign(model=fit.group.iloc[0], form=fit.form.iloc[0])


def draw_law(
    law_points: pd.DataFrame,
    laws: pd.DataFrame,
    law_curves: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    law: str,
    voxel_sets: Sequence[str] = ("all",),
    interval: float = 0.9,
    x_label: str | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """One line per subject, their mean, and a law fitted to the mean with its band; a panel per voxel set.

    Args:
        law_points, laws, law_curves, summary: tables of these names; without curves no band is drawn.
        interval: what share of resamples the band holds.
        x_label: of the axis; None: what x is called.
    """
    tables = {
        name: [choose(table[table.law == law], name) for table in (law_points, laws, law_curves)]
        for name in voxel_sets
    }
    tables = {name: parts for name, parts in tables.items() if parts[0].y.notna().any()}
    if not tables:
        return style.sentence(f"The study has no cells for the law {law!r}.")
    several = len(tables) > 1
    figure, panels = style.grid(1, len(tables), height=4.2 if several else 3.7, squeeze=False)
    drawn = []
    for axes, (name, (mine, fits, bands)) in zip(panels[0], tables.items(), strict=True):
        mine = mine.dropna(subset=["y"])
        data, keys, laws_drawn = _draw_panel(axes, mine, fits, bands, summary, interval)
        x_name = mine.x_name.iloc[0]
        axes.set_xlabel(x_label or AXES.get(x_name, x_name.replace("_", " ")))
        drawn.append(data.assign(metric="r2", voxel_set=name))
        axes.set_ylabel(R2_LABEL if several else f"{R2_LABEL}, {voxel_set_label(name)} voxels")
        if several:
            axes.set_title(f"{voxel_set_label(name)} voxels")
            axes.legend(handles=laws_drawn, loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=7.5)
        else:
            style.panel_legend(axes, [*keys, *laws_drawn])
    if several:
        figure.legend(handles=keys, loc="outside upper center", ncols=3)
    return figure, pd.concat(drawn, ignore_index=True)


def _draw_panel(
    axes: Axes,
    points: pd.DataFrame,
    fits: pd.DataFrame,
    bands: pd.DataFrame,
    summary: pd.DataFrame,
    interval: float,
) -> tuple[pd.DataFrame, list[Line2D], list[Line2D]]:
    """One voxel set of `draw_law`: what it plots, and legends of its points and of its laws."""
    x_name, voxel_set = points.x_name.iloc[0], points.voxel_set.iloc[0]
    points = points.assign(family=points.group).sort_values("x")  # laws of data: one group per model
    subjects = sorted(set(points.subject) - {"pooled"})
    mean_of = "pooled" if len(subjects) > 1 else subjects[0]  # a lone subject is its own mean
    hues = {**style.colours(subjects), "pooled": style.INK}
    shapes, sizes = style.markers(sorted(points.family.unique())), style.sizes(subjects, 5)
    draws = _draws(summary, points, voxel_set, x_name)
    dots = {"s": 7, "alpha": 0.35, "linewidths": 0, "zorder": 2}
    shown = axes.scatter(draws.x, draws.y, c=[hues[s] for s in draws.subject], **dots)
    style.label_points(shown, draws.rename(columns={"x": x_name, "y": "score"}), x_name)
    for (subject, family), line in points.groupby(["subject", "family"], sort=False):
        pooled = subject == "pooled"
        # A subject like the mean still shows on it.
        width, size, order = (3.2, 7.5, 2.5) if pooled else (1.1, sizes[subject], 3)
        look = {"color": hues[subject], "marker": shapes[family], "linewidth": width, "markersize": size}
        (shown,) = axes.plot(line.x, line.y, zorder=order, **look)
        style.label_points(shown, line.rename(columns={"x": x_name, "y": "score"}), x_name)
    keys = [style.key(subject, hues[subject], marker="o", markersize=4) for subject in subjects]
    if mean_of == "pooled":
        keys.append(style.key("mean of subjects", style.INK, marker="o", linewidth=3.2, markersize=7.5))
    if len(shapes) > 1:
        keys += [style.key(family, marker=shape, linestyle="none") for family, shape in shapes.items()]
    lines, handles = [], []
    groups = list(dict.fromkeys(fits.group))  # "all" models, or each model whose training set grows
    for group in ["all"] if "all" in groups else groups:
        mine, band = (
            table[(table.subject == mean_of) & (table.points == "all") & (table.group == group)]
            for table in (fits, bands)
        )
        fit = mine[mine.form == FORM]
        if len(fit) and fit.estimate.notna().any():
            lines.append(_draw_line(axes, fit, band[band.form == FORM], points.x, DASH))
            lines += _draw_families(axes, fit, points)
            handles.append(style.key(_law_text(fit, interval, x_name), style.LAW, linestyle=DASH))
        best = mine[mine.preferred]
        if len(best) and best.form.iloc[0] != FORM:
            lines.append(_draw_line(axes, best, band.iloc[:0], points.x, DOTS))
            text = f"{best.form.iloc[0].replace('_', '-')} law (preferred)"
            handles.append(style.key(text, style.LAW, linestyle=DOTS))
    style.log_axis(axes, points.x.to_numpy())
    parts = [points.assign(series="points"), draws.assign(series="draws")]
    parts += [line.assign(series="law", subject=mean_of) for line in lines]
    columns = [
        "series",
        "subject",
        "family",
        "model",
        "layer",
        "n_train",
        "draw",
        "x",
        "y",
        "lo",
        "hi",
        "wide",
    ]
    data = pd.concat(parts, ignore_index=True).reindex(columns=[*columns, "form"])
    data = data.astype(dict.fromkeys(["x", "y", "lo", "hi"], float))
    return data.assign(x_name=x_name), keys, handles


def _draw_families(axes: Axes, fit: pd.DataFrame, points: pd.DataFrame) -> list[pd.DataFrame]:
    """The law at each family's own intercept, over that family's models; give what was drawn."""
    offsets = fit[fit.parameter.str.startswith("offset:")].set_index("parameter").estimate
    drawn = []
    for name, offset in offsets.items():
        family = name.partition(":")[2]
        x = points.x[points.family == family]
        if x.nunique() < 2:
            continue  # through one point there is a line of any slope
        line = law_line(fit, np.geomspace(x.min() / 1.2, x.max() * 1.2, 20))
        line["y"] += offset
        axes.plot(line.x, line.y, color=style.LAW, linestyle=DASH, linewidth=0.9, zorder=4)
        drawn.append(line.assign(family=family, model="all", form=fit.form.iloc[0]))
    return drawn


def _draws(summary: pd.DataFrame, points: pd.DataFrame, voxel_set: str, x_name: str) -> pd.DataFrame:
    """Single training draws behind the points that are means of several: subject, model, draw, x, y."""
    keys = ["subject", "model", "layer", "n_train"]
    several = points[points.n_draws > 1][keys].drop_duplicates()
    rows = summary[summary.voxel_set == voxel_set].merge(several, on=keys)
    if x_name not in DATA or rows.empty:
        return pd.DataFrame(columns=[*keys, "draw", "x", "y"])
    x = {"hours": rows.train_hours, "stories": rows.n_train, "trs": rows.train_trs}[x_name]
    return rows[[*keys, "draw"]].assign(x=x.astype(float), y=rows.mean_r2)
