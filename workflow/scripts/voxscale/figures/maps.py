"""Brain maps: one row per subject or quantity, four views of the inflated cortex in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure, SubFigure

from voxscale.cortex import to_vertices
from voxscale.figures import style, surface
from voxscale.figures.frames import with_place, with_room
from voxscale.statistics import false_discovery

NO_VERTICES = "No map: the dataset names no cortical vertex for its voxels (config key dataset.voxels)."
# Both end in colours that the grey of the bare cortex does not have.
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "score", mpl.colormaps["inferno"](np.linspace(0.12, 0.97, 256))
)
DIVERGING = mpl.colormaps["PuOr_r"]
ROW_HEIGHT = 1.32  # inches
PLACE = ["hemisphere", "vertex"]


@dataclass(frozen=True)
class _Row:
    """One row of views.

    Args:
        title: what stands left of the views.
        label: of the colour bar, with its unit.
        voxels: one row per voxel: hemisphere, vertex, value, and shown: others are as grey as bare cortex.
        diverging: colours run both ways from zero.
        limit: value of the last colour; the 99th percentile of all rows with this label when not given.
    """

    title: str
    label: str
    voxels: pd.DataFrame
    diverging: bool = False
    limit: float | None = None

    def drawn(self) -> pd.Series:
        """Values of the voxels that have a colour."""
        return self.voxels.value.where(self.voxels.shown.astype(bool))


def _scale(row: _Row, rows: Sequence[_Row]) -> tuple[Colormap, Normalize, str]:
    """Colours of a row; rows of one quantity share them."""
    values = np.concatenate([other.drawn().to_numpy(float) for other in rows if other.label == row.label])
    values = values[np.isfinite(values)]
    size = np.abs(values) if row.diverging else values
    limit = row.limit or (float(np.percentile(size, 99)) if len(size) else 1.0)
    limit = max(limit, 1e-3)
    if row.diverging:
        return DIVERGING, TwoSlopeNorm(0.0, -limit, limit), "both"
    below, above = bool((values < 0).any()), bool((values > limit).any())
    beyond = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
    return SEQUENTIAL, Normalize(0.0, limit), beyond


def _paint(figure: Figure | SubFigure, rows: Sequence[_Row]) -> None:
    """Fill a (sub)figure with rows of views and their colour bars."""
    cells = figure.add_gridspec(len(rows), 6, width_ratios=[0.42, 1, 1, 1, 1, 0.09], wspace=0.02, hspace=0.03)
    for i, row in enumerate(rows):
        cmap, norm, beyond = _scale(row, rows)
        title = figure.add_subplot(cells[i, 0])
        title.axis("off")
        title.text(1.0, 0.5, row.title, ha="right", va="center", fontsize=8.5, fontweight="bold", wrap=False)
        placed = row.voxels.assign(value=row.drawn()).dropna(subset=PLACE)
        values, taken = (to_vertices(part) for part in (placed, placed.assign(value=1.0)))
        for j, (hemisphere, view) in enumerate(surface.VIEWS):
            axes = figure.add_subplot(cells[i, 1 + j])
            filled = surface.spread(values[hemisphere], surface.mesh(hemisphere)[1])
            # A voxel without a colour takes none from its neighbours.
            filled[np.isnan(values[hemisphere]) & np.isfinite(taken[hemisphere])] = np.nan
            surface.draw_hemisphere(axes, filled, hemisphere, view, cmap, norm)
            if i == 0:
                look = {"fontsize": 8, "fontweight": "normal", "loc": "center", "color": style.MUTED}
                axes.set_title(f"{hemisphere} {view}", **look)
        colours, place = mpl.cm.ScalarMappable(norm, cmap), figure.add_subplot(cells[i, 5])
        bar = figure.colorbar(colours, cax=place, extend=beyond, extendfrac=0.06)
        bar.set_label(row.label, fontsize=8)
        bar.ax.tick_params(labelsize=7.5, length=2)
        bar.outline.set_linewidth(0.5)
        if row.diverging:
            end = f"{norm.vmax:.2g}"
            bar.set_ticks([norm.vmin, 0, norm.vmax], labels=[style.minus(f"-{end}"), "0", end])


def _draw_map(rows: Sequence[_Row]) -> tuple[Figure, pd.DataFrame]:
    """Maps as rows of views; rows without any voxel on a vertex are left out."""
    rows = [row for row in rows if len(row.voxels) and row.voxels.vertex.notna().any()]
    if not rows:
        return style.sentence(NO_VERTICES)
    figure = Figure(figsize=(style.WIDTH, 0.25 + ROW_HEIGHT * len(rows)))
    _paint(figure, rows)
    shown = [
        row.voxels.assign(row=row.title.replace("\n", " "), quantity=row.label.replace("\n", " "))
        for row in rows
    ]
    return figure, pd.concat(shown, ignore_index=True)


def above(placed: pd.DataFrame, column: str, label: str, height: float) -> tuple[Figure, SubFigure]:
    """A figure with maps of differences in up to three subjects, and below them a part that is to be filled.

    Args:
        placed: voxels as of `with_place`; a subject without any voxel on a vertex is left out.
        column: of the differences.
        height: of the part below, inches.
    """
    placed = placed.rename(columns={column: "value"}).assign(shown=placed.predicted)
    of_subjects = list(placed.groupby("subject"))[:3]
    shown = [
        _Row(subject, label, part, diverging=True)
        for subject, part in of_subjects
        if part.vertex.notna().any()
    ]
    if not shown:
        figure = Figure(figsize=(style.WIDTH, height))
        return figure, figure.subfigures(1, 1)
    upper = 0.25 + ROW_HEIGHT * len(shown)
    figure = Figure(figsize=(style.WIDTH, upper + height))
    first, second = figure.subfigures(2, 1, height_ratios=[upper, height])
    _paint(first, shown)
    return figure, second


def _is_predicted(scores: pd.DataFrame, fdr: float) -> pd.Series:
    """Whether a fit's scores are significant at a false discovery rate; above 0, where no score is tested."""
    if scores.p.notna().any():
        return pd.Series(false_discovery(scores.p.to_numpy()) <= fdr, scores.index)
    return scores.r > 0


def draw_score_maps(
    scores: pd.DataFrame, voxels: pd.DataFrame, *, fdr: float = 0.05
) -> tuple[Figure, pd.DataFrame]:
    """Test correlations on the cortex: one block of rows per model, one row for each of three subjects.

    Args:
        scores: table `scores` of the cells to show.
        voxels: table `voxels`.
        fdr: false discovery rate above which a voxel has no colour.
    """
    placed = with_place(scores[scores.draw == 0], voxels)
    fits = [_is_predicted(fit, fdr) for _, fit in placed.groupby(["model", "subject"])]
    placed = placed.assign(shown=pd.concat(fits)).rename(columns={"r": "value"})
    shown = sorted(placed.subject.unique())[:3]
    rows = [
        _Row(
            f"{subject}\n{model}",
            "correlation r",
            part[["subject", "model", "voxel", *PLACE, "value", "shown"]],
        )
        for model, block in placed.groupby("model", sort=False)
        for subject, part in block.groupby("subject", sort=True)
        if subject in shown
    ]
    return _draw_map(rows)


def draw_ceiling_maps(voxels: pd.DataFrame, room: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Noise ceiling, share of it reached, and room left on the cortex of each subject.

    Args:
        voxels, room: tables of these names.
    """
    ceiling = with_room(voxels, room)
    quantities = {
        "ccmax": ("ceiling", "CCmax\n(correlation)", None),
        "ccnorm": ("reached", "CCnorm\n= r / CCmax", 1.0),
        "room": ("room left", "CCmax − r\n(correlation)", None),
    }
    reliable = ceiling[ceiling.reliable].assign(shown=True)
    rows = []
    for column, (title, label, limit) in quantities.items():
        value = reliable.rename(columns={column: "value"})[
            ["subject", "model", "voxel", *PLACE, "value", "shown"]
        ]
        rows += [
            _Row(f"{subject}\n{title}", label, part, limit=limit)
            for subject, part in value.groupby("subject")
        ]
    if not rows:
        return style.sentence("No map: no voxel has a reliable noise ceiling.")
    figure, data = _draw_map(rows)
    if (models := sorted(set(reliable.model.dropna()))) and "note" not in data:
        which = " or ".join(models) + (
            ", whichever predicts the voxel better in training" if len(models) > 1 else ""
        )
        figure.supxlabel(f"score of reached and room left: {which}", fontsize=8)
    return figure, data


def draw_stacking_gain(stacking: pd.DataFrame, voxels: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """What stacking gains: where (maps of up to three subjects), in how many voxels, in which regions.

    Args:
        stacking, voxels: tables `stacking` and `voxels`.
    """
    gains = with_place(stacking, voxels).dropna(subset=["gain"])
    if gains.empty:
        return style.sentence("No stacking in this study: name its members under stacking.members.")
    subjects = sorted(gains.subject.unique())
    figure, lower = above(gains, "gain", "gain in r", 2.7)
    left, right = lower.subplots(1, 2)
    hues = style.colours(subjects)
    _gain_histogram(left, gains, hues)
    _gain_by_region(right, gains, hues)
    kept = ["subject", "voxel", *PLACE, "roi", "r_stacked", "r_language", "gain", "gain_lo", "gain_hi"]
    return figure, gains[kept]


def _gain_histogram(axes: Axes, gains: pd.DataFrame, hues: dict[str, str]) -> None:
    reach = max(float(np.percentile(np.abs(gains.gain), 99.5)), 1e-3)
    edges = np.linspace(-reach, reach, 41)
    for subject, part in gains.groupby("subject"):
        style.draw_histogram(axes, part.gain, edges, color=hues[subject], linewidth=1.4, label=subject)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_yticks([0, 1, 10, 100], labels=["0", "1", "10", "100"])
    axes.set_ylim(0, 100)
    axes.xaxis.get_major_locator().set_params(nbins=5)
    axes.set_xlabel("gain in correlation\n(stacked − language models only)")
    axes.set_ylabel("share of voxels (%)")
    axes.legend()


def _gain_by_region(axes: Axes, gains: pd.DataFrame, hues: dict[str, str]) -> None:
    mean = gains.groupby(["roi", "subject"], sort=False).gain.mean().unstack("subject")
    mean = mean.loc[mean.mean(axis=1).sort_values().index]
    place = np.arange(len(mean))
    axes.barh(place, mean.mean(axis=1), color="#c9d3dc", height=0.62)
    for subject, nudge in style.nudges(mean.columns, 0.4).items():
        axes.plot(mean[subject], place + nudge, "o", color=hues[subject], markersize=4.5)
    style.name_rows(axes, place, mean.index)
    axes.set_xlabel("mean gain in correlation\n(bar: mean of subjects)")
