"""Figures to look closer at: plotly's description of a chart, from the numbers a figure plotted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from voxscale.figures import style
from voxscale.figures.frames import voxel_set_label
from voxscale.figures.scaling import AXES, METRICS

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
Chart = dict[str, Any]


def _chart(traces: list[Chart], x: str, y: str, log: bool = False, **layout: Any) -> Chart:
    axis = {"gridcolor": "#e8ebee", "zerolinecolor": "#b9c1c9", "linecolor": style.MUTED, "automargin": True}
    return {
        "data": traces,
        "layout": {
            "xaxis": {**axis, "title": {"text": x}} | ({"type": "log", "dtick": "D2"} if log else {}),
            "yaxis": {**axis, "title": {"text": y}},
            "paper_bgcolor": "#fff",
            "plot_bgcolor": "#fff",
            "font": {"color": style.INK, "size": 13},
            "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
            "hovermode": "closest",
            "height": 460,
            **layout,
        },
    }


def _hover(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    """One text per row: each column that the table has, with its value."""
    present = [column for column in dict.fromkeys(columns) if column in rows and rows[column].notna().any()]
    names = {"y": "score", "x": rows.x_name.iloc[0] if "x_name" in rows else "x", "cut_s": "cut (s)"}
    lines = [
        "<br>".join(
            f"{names.get(column, column)} <b>{_text(value)}</b>"
            for column, value in zip(present, row, strict=True)
        )
        for row in rows[present].itertuples(index=False)
    ]
    return lines


def _text(value: Any) -> str:
    """A value as a hover shows it."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return {"pooled": "mean of subjects", "mean": "mean of subjects"}.get(str(value), str(value))


def _line(rows: pd.DataFrame, x: str, name: str, colour: str, y: str = "score", **extra: Any) -> Chart:
    hover = _hover(
        rows, ("model", "layer", "subject", "family", "voxel_set", "n_train", "draw", x, "y", y, "lo", "hi")
    )
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": rows[x].tolist(),
        "y": rows[y].tolist(),
        "name": name,
        "line": {"color": colour, "width": extra.pop("width", 1.6), "dash": extra.pop("dash", "solid")},
        "marker": {"color": colour, "size": extra.pop("size", 8), "symbol": extra.pop("symbol", "circle")},
        "hovertemplate": "%{text}<extra></extra>",
        "text": hover,
        **extra,
    }


def size(data: pd.DataFrame) -> Chart | None:
    """Score against size, as `scaling.draw_law` plots it; buttons choose between several voxel sets."""
    x_name, metric = (data[column].iloc[0] for column in ("x_name", "metric"))
    panels = {name: _size_traces(part) for name, part in data.groupby("voxel_set", sort=False)}
    first = next(iter(panels))
    chart = _chart(
        [trace | {"visible": name == first} for name, traces in panels.items() for trace in traces],
        AXES[x_name],
        METRICS[metric] + (f", {voxel_set_label(first)} voxels" if len(panels) == 1 else ""),
        log=True,
    )
    if len(panels) > 1:
        owners = [name for name, traces in panels.items() for _ in traces]
        chart["layout"]["updatemenus"] = [
            {
                "type": "buttons",
                "direction": "right",
                "x": 0,
                "xanchor": "left",
                "y": 1.14,
                "buttons": [
                    {
                        "label": f"{voxel_set_label(name)} voxels",
                        "method": "update",
                        "args": [{"visible": [owner == name for owner in owners]}],
                    }
                    for name in panels
                ],
            }
        ]
        chart["layout"]["margin"]["t"] = 60
    return chart


def _size_traces(data: pd.DataFrame) -> list[Chart]:
    """Traces of one voxel set."""
    points, draws, law = (data[data.series == series] for series in ("points", "draws", "law"))
    subjects = sorted(set(points.subject) - {"pooled"})
    hues = {**style.colours(subjects), "pooled": style.INK}
    families = sorted(points.family.unique())
    traces = []
    for (_, form, family), line in law.groupby(["model", "form", "family"], sort=False, dropna=False):
        name = f"{form.replace('_', '-')} law" + (f", {family}" if isinstance(family, str) else "")
        if line.lo.notna().all():
            traces.append(
                {
                    "type": "scatter",
                    "x": [*line.x, *line.x[::-1]],
                    "y": [*line.hi, *line.lo[::-1]],
                    "fill": "toself",
                    "fillcolor": "rgba(213,94,0,0.12)",
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                    "name": f"{name}, interval",
                }
            )
        dash = "dash" if form == "log_linear" else "dot"
        traces.append(_line(line, "x", name, style.LAW, "y", dash=dash, mode="lines"))
    for subject in ["pooled", *subjects]:  # a subject like the mean stays on top
        bold = {"width": 4, "size": 12} if subject == "pooled" else {}
        label = "mean of subjects" if subject == "pooled" else subject
        for i, family in enumerate(families):
            rows = points[(points.subject == subject) & (points.family == family)].sort_values("x")
            if len(rows):
                name = f"{label}, {family}" if len(families) > 1 else label
                symbol = SYMBOLS[i % len(SYMBOLS)]
                traces.append(_line(rows, "x", name, hues[subject], "y", symbol=symbol, **bold))
        rows = draws[draws.subject == subject]
        if len(rows):
            small = {"mode": "markers", "size": 5, "opacity": 0.45, "showlegend": False}
            traces.append(_line(rows, "x", f"{label}, draws", hues[subject], "y", **small))
    return traces


def layers(data: pd.DataFrame) -> Chart | None:
    """Score by layer, as `layers.draw_layers` plots it."""
    models = list(dict.fromkeys(data.model))
    hues = style.colours(models)
    traces = []
    for model in models:
        for subject, rows in data[data.model == model].groupby("subject", sort=False):
            look = (
                {"width": 3, "size": 8} if subject == "mean" else {"width": 0.8, "size": 5, "opacity": 0.45}
            )
            show = subject == "mean"
            traces.append(
                _line(
                    rows.sort_values("depth"),
                    "depth",
                    model,
                    hues[model],
                    showlegend=show,
                    legendgroup=model,
                    **look,
                )
            )
    return _chart(traces, "relative depth (0: embedding, 1: last layer)", METRICS[data.metric.iloc[0]])


def controls(data: pd.DataFrame) -> Chart | None:
    """Every model beside the controls, as `checks.draw_controls` plots it."""
    mean = data.groupby(["modality", "model"], as_index=False).score.mean().sort_values("score")
    traces: list[Chart] = [
        {
            "type": "bar",
            "orientation": "h",
            "x": mean.score.tolist(),
            "y": mean.model.tolist(),
            "marker": {"color": "#c9d3dc"},
            "name": "mean of subjects",
            "text": mean.modality.tolist(),
            "hovertemplate": "<b>%{y}</b><br>%{text}<br>mean <b>%{x:.4g}</b><extra></extra>",
            "textposition": "none",
        }
    ]
    hues = style.colours(sorted(data.subject.unique()))
    for subject, rows in data.groupby("subject"):
        trace = _line(rows, "score", subject, hues[subject], mode="markers")
        trace["y"] = rows.model.tolist()
        traces.append(trace)
    order = {"type": "category", "categoryarray": mean.model.tolist(), "automargin": True}
    label = f"{METRICS[data.metric.iloc[0]]}, {voxel_set_label(data.voxel_set.iloc[0])} voxels"
    chart = _chart(traces, label, "", height=160 + 24 * len(mean))
    chart["layout"]["yaxis"] |= order
    return chart


def artifact(data: pd.DataFrame) -> Chart | None:
    """Score against the cut, as `checks.draw_artifact` plots it."""
    hues = style.colours(dict.fromkeys(data.voxel_set))
    dashes = dict(zip(dict.fromkeys(data.model), ("solid", "dot", "dash", "dashdot"), strict=False))
    traces = []
    for (voxel_set, model, subject), rows in data.groupby(["voxel_set", "model", "subject"], sort=False):
        mean = subject == "mean"
        look = {"width": 3, "size": 6} if mean else {"width": 0.8, "size": 4, "opacity": 0.45}
        name = f"{voxel_set_label(voxel_set)}, {model}"
        look |= {"showlegend": mean, "legendgroup": name, "dash": dashes.get(model, "solid")}
        traces.append(_line(rows, "cut_s", name, hues[voxel_set], "difference", **look))
    label = f"{METRICS[data.metric.iloc[0]]}, less that at this study's cut"
    return _chart(traces, "cut from the start of each test story (s)", label)


CHARTS = {
    "score_by_language_model_size": size,
    "score_by_speech_model_size": size,
    "score_by_training_hours": size,
    "score_by_layer": layers,
    "controls": controls,
    "long_context_artifact": artifact,
}


def chart(name: str, data: pd.DataFrame) -> Chart | None:
    """The interactive chart of a figure; None when it has none, or the figure is only a sentence."""
    if name not in CHARTS or "note" in data:
        return None
    return _known(CHARTS[name](data))


def _known(value: Any) -> Any:
    """The same chart with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
