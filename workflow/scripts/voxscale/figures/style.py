"""What the figures share: colours, marks, axes, legends, and the points that a reader can point at."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Okabe & Ito (2008), safe for every common kind of colour blindness; black is kept for the mean.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D00", "#5D5D5D", "#3C2A8C")
INK, MUTED, FAINT = "#1b1f24", "#59636e", "#d5dae0"
LAW = "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A subject's mark next to a bar.
HOLLOW = {
    "color": INK,
    "markersize": 3.6,
    "markerfacecolor": "white",
    "markeredgewidth": 0.8,
    "linestyle": "none",
}
WIDTH = 7.2  # inches: the report's column
# Of matplotlib's settings; `draw_figure` draws every figure in it.
STYLE = Path(__file__).with_name("house.mplstyle")


def grid(rows: int = 1, columns: int = 1, height: float = 3.6, width: float = WIDTH, **options: Any) -> tuple:
    """A figure in the house style and its axes, (rows, columns) of them squeezed as matplotlib does.

    Args:
        height, width: inches.
    """
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, **options)


def sentence(text: str) -> tuple[Figure, pd.DataFrame]:
    """A sentence in place of a figure that the study has no data for."""
    figure, axes = grid(height=1.2)
    axes.axis("off")
    axes.text(0.5, 0.5, textwrap.fill(text, 90), ha="center", va="center", color=MUTED, fontsize=9)
    return figure, pd.DataFrame({"note": [text]})


# What the report shows of a point that a reader points at: these columns of its row, in this order.
POINT_COLUMNS = (
    *("model", "modality", "family", "layer", "depth", "subject", "voxel_set", "n_train", "draw"),
    *("parameters", "parameters_non_embedding", "width", "hours", "stories", "trs", "cut_s"),
    *("score", "difference", "lo", "hi"),
)
POINT_LABELS = {"modality": "kind", "voxel_set": "voxels", "n_train": "training stories", "cut_s": "cut (s)"}


def label_points(artist: Artist, rows: pd.DataFrame, *more: str) -> None:
    """Give each point of a line or scatter the text that the report shows when a reader points at it.

    Args:
        rows: one per point, in the same order.
        more: columns to show besides `POINT_COLUMNS`.
    """
    shown = dict.fromkeys((*POINT_COLUMNS, *more))
    columns = [name for name in shown if name in rows and rows[name].notna().any()]
    labels = [POINT_LABELS.get(name, name.replace("_", " ")) for name in columns]
    texts = [
        "\n".join(f"{label}: {_shown(value)}" for label, value in zip(labels, row, strict=True))
        for row in rows[columns].itertuples(index=False)
    ]
    artist.set_gid(json.dumps(texts))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return {"pooled": "mean of subjects", "mean": "mean of subjects"}.get(str(value), str(value))


def labelled_points(figure: Figure) -> list[tuple[float, float, str]]:
    """Each labelled point of a drawn figure: shares of width and height from the top left, and a text."""
    found = []
    for artist in figure.findobj(lambda one: one.get_gid()):
        values = artist.get_xydata() if isinstance(artist, Line2D) else artist.get_offsets()
        places = artist.axes.transData.transform(values) / figure.bbox.size
        for (x, y), text in zip(places, json.loads(artist.get_gid()), strict=True):
            if np.isfinite([x, y]).all():
                found.append((round(float(x), 4), round(1 - float(y), 4), text))
    return found


def minus(number: str) -> str:
    """A number as text, with a true minus."""
    return number.replace("-", "\u2212")


def format_signed(value: float) -> str:
    """A whole number with its sign and a true minus; no sign when it rounds to zero; infinity is `∞`."""
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:+.0f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def colours(names: Iterable[str]) -> dict[str, str]:
    """One colour for each name, in order; the same names give the same colours in every figure."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(dict.fromkeys(names))}


def markers(names: Iterable[str]) -> dict[str, str]:
    """One marker for each name, in order."""
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(dict.fromkeys(names))}


def nudges(names: Iterable[str], reach: float) -> dict[str, float]:
    """A shift for each name, `reach` from end to end, so that equal marks stay apart."""
    names = list(dict.fromkeys(names))
    step = reach / max(len(names) - 1, 1)
    return {name: reach / 2 - step * i if len(names) > 1 else 0.0 for i, name in enumerate(names)}


def sizes(names: Iterable[str], largest: float = 6.5) -> dict[str, float]:
    """Smaller marks for later names, so that what they lie on shows around them."""
    names = list(dict.fromkeys(names))
    return {name: max(largest * 0.75**i, 2.5) for i, name in enumerate(names)}


def format_count(value: float, _: Any = None) -> str:
    """A count in short: 125M, 1.3B."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def log_ticks(axis: Axis, values: Sequence[float], form: Any = format_count) -> None:
    """Ticks of a logarithmic axis: many when values span little, decades alone when they span much."""
    span = np.log10(max(values) / min(values))
    steps = {3.5: (1,), 1.6: (1, 3), 0.9: (1, 2, 5), -1: (1, 1.5, 2, 3, 4, 6)}
    subs = next(multiples for least, multiples in steps.items() if span > least)
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(form))
    axis.set_minor_formatter(NullFormatter())


def log_axis(axes: Axes, values: Sequence[float], form: Any = format_count) -> None:
    """A logarithmic x axis around the values, with readable ticks."""
    values = np.asarray(values, float)
    axes.set_xscale("log")
    log_ticks(axes.xaxis, values, form)
    margin = max(np.log10(values.max() / values.min()) * 0.06, 0.04)
    axes.set_xlim(values.min() * 10**-margin, values.max() * 10**margin)


def facets(names: Sequence[str], x: str, y: str, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each name, in as many columns as fill it best, and shared names of the axes.

    Args:
        height: of a row, inches.
        options: of `Figure.subplots`.
    """
    columns = {1: 1, 2: 2, 4: 2}.get(len(names), 3)
    rows = -(-len(names) // columns)
    figure, panels = grid(rows, columns, height=0.8 + height * rows, squeeze=False, sharex=True, **options)
    for i, axes in enumerate(panels.flat):
        axes.set_visible(i < len(names))
        if i < len(names):
            axes.set_title(names[i])
            axes.tick_params(labelbottom=i + columns >= len(names))  # also above a hidden panel
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(textwrap.fill(y, 36) if rows == 1 else y, fontsize=9)
    return figure, list(panels.flat[: len(names)])


def name_rows(axes: Axes, places: Any, names: Sequence[str], fontsize: float = 8) -> None:
    """Name the rows of a horizontal chart, whose values start from a line at zero."""
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1.5)  # over bars, under marks
    axes.set_yticks(places, names, fontsize=fontsize)
    axes.grid(axis="y", visible=False)


def draw_histogram(axes: Axes, values: pd.Series, edges: np.ndarray, **look: Any) -> np.ndarray:
    """Draw and return the percentage of values in each bin; values beyond an end count there."""
    share = 100 * np.histogram(values.clip(edges[0], edges[-1]), edges)[0] / max(len(values), 1)
    axes.stairs(share, edges, **look)
    return share


def key(label: str, colour: str = MUTED, **look: Any) -> Line2D:
    """A line or mark of a legend."""
    return Line2D([], [], color=colour, label=label, **look)


def panel_legend(axes: Axes, handles: Sequence[Any] | None = None) -> None:
    """A legend right of the panel, where it hides nothing."""
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02), "borderaxespad": 0.0, "labelspacing": 0.55}
    axes.legend(**place, **({} if handles is None else {"handles": handles}))
