"""The facts and tables of the report."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from humanfriendly.text import pluralize

from voxscale.figures import (
    base_label,
    best_layer,
    format_count,
    format_signed,
    full_training,
    mean_of_subjects,
    minus,
    voxel_set_label,
)
from voxscale.laws import FORMS
from voxscale.models import OWN

METRIC = {"r": "r", "r2": "signed r²"}
Table = dict[str, Any]

_SWITCHES = yaml.safe_load(Path(__file__).with_name("switches.yaml").read_text())


def table(title: str, rows: Iterable[Mapping[str, Any]], fold: bool = False) -> list[Table]:
    """A table of the report as a list of one, or of none when it has no rows."""
    rows = list(rows)
    if not rows:
        return []
    columns = list(rows[0])
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    numeric = [all(_is_number(row.get(column)) for row in rows) for column in columns]
    return [{"title": title, "columns": columns, "rows": cells, "numeric": numeric, "fold": fold}]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | None) and not isinstance(value, bool)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return minus(f"{value:,}")
    if isinstance(value, float | np.floating):
        return minus(f"{value:.3g}")
    return str(value)


def between(row: Any, form: str = "{:.3g}", column: str = "estimate") -> str:
    """`estimate [lo, hi]`, without the bracket if it has no interval."""
    value = getattr(row, column)
    text = "–" if np.isnan(value) else minus(form.format(value))
    if np.isnan(row.lo) or np.isnan(row.hi):
        return text
    lo, hi = (minus(form.format(end)) if np.isfinite(end) else format_signed(end) for end in (row.lo, row.hi))
    return f"{text} [{lo}, {hi}]"


_FIT = ["law", "group", "subject", "voxel_set", "metric", "points", "form"]


def _fits(laws: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]]:
    """Each fit of table `laws`: the cells that name it, its rows, and each row by its parameter."""
    for (law, group, subject, voxel_set, metric, *_), fit in laws.groupby(_FIT, sort=False):
        named = {
            "law": law if group == "all" else f"{law}, {group}",
            "subject": _who(subject),
            "voxels": voxel_set_label(voxel_set),
            "metric": METRIC[metric],
        }
        yield named, fit, {row.parameter: row for row in fit.itertuples()}


def slope_rows(laws: pd.DataFrame, x_names: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per log-linear fit: its slope, and the same as a percentage of its named base.

    Args:
        laws: table `laws`, already narrowed to the fits to show.
        x_names: what each law runs over.
    """
    rows = []
    for named, fit, parameters in _fits(laws[laws.form == "log_linear"]):
        first, slope, percent = fit.iloc[0], parameters["per_decade"], parameters["percent_per_decade"]
        kept = "" if first.points == "all" else f" ({first.points})"
        shown = {
            "points": f"{first.n_points}{kept}",
            "per decade": between(slope, "{:+.2g}"),
            "of these models, or data": minus(f"[{slope.test_lo:+.2g}, {slope.test_hi:+.2g}]"),
            "% per decade": between(percent, "{:+.0f}"),
            "of the": base_label(percent.base, x_names.get(first.law, "x")),
            "left out": first.left_out or None,
            "too little": first.lacking or None,
        }
        rows.append(named | shown)
    return rows


def form_rows(laws: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per fitted form: how well it describes, and how well it predicts the largest size unseen."""
    rows = []
    for named, fit, parameters in _fits(laws):
        first, known = fit.iloc[0], FORMS[fit.form.iloc[0]].parameters
        values = [row for name, row in parameters.items() if name in known and pd.notna(row.estimate)]
        shown = {
            "points": first.points,
            "form": first.form.replace("_", "-") + (", preferred" if first.preferred else ""),
            "parameters": "; ".join(map(_parameter, values)) or "–",
            "AICc": float(first.aicc),
            "error at the largest": float(first.largest_error),
        }
        rows.append(named | shown)
    return rows


def _parameter(row: Any) -> str:
    return f"{row.parameter} {between(row)}{' (at its bound)' if row.at_bound else ''}"


def x_names(config: Mapping[str, Any]) -> dict[str, str]:
    """What each law of the config runs over."""
    return {name: law.get("x", "x") for name, law in config.get("laws", {}).items()}


def chief(laws: pd.DataFrame) -> pd.DataFrame:
    """Laws of the mean of subjects (or of the only one), over all voxels and all models of the law."""
    has_all = laws.law[laws.group == "all"].unique()
    whole = (laws.group == "all") | ~laws.law.isin(has_all)
    return laws[(laws.subject == mean_of_subjects(laws)) & (laws.voxel_set == "all") & whole]


def headlines(laws: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Of the chief log-linear laws: law, metric, and rows by parameter."""
    fits = chief(laws)
    fits = fits[(fits.points == "all") & (fits.form == "log_linear")]
    for (law, metric, _), fit in fits.groupby(["law", "metric", "group"], sort=False):
        yield law, metric, fit.set_index("parameter")


def rise(fit: pd.DataFrame, x_name: str) -> tuple[str, str]:
    """The rise per decade, and the same as a percentage; empty where the fitted value may be 0.

    Args:
        fit: rows of one fit by parameter.
    """
    share = fit.loc["percent_per_decade"]
    percent = (
        ""
        if pd.isna(share.estimate)
        else f"{between(share, '{:+.0f}')} % of the {base_label(share.base, x_name)}"
    )
    return between(fit.loc["per_decade"], "{:+.2g}"), percent


def _who(subject: str) -> str:
    return "mean of subjects" if subject == "pooled" else subject


def _trained(summary: pd.DataFrame) -> pd.DataFrame:
    """What one of a subject's largest fits is trained on: n_train, train_hours, train_trs by subject.

    With folds this is less than what the subject heard: each fit leaves out the stories of its fold.
    """
    return full_training(summary).groupby("subject")[["n_train", "train_hours", "train_trs"]].mean()


def subject_rows(subjects: pd.DataFrame, voxels: pd.DataFrame, summary: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per subject: stories and hours of its largest fits, stories tested on, voxels."""
    rows, trained = [], _trained(summary)
    for subject, train in trained.reindex(subjects.subject.unique()).iterrows():
        heard = subjects[subjects.subject == subject]
        test = heard[heard.role != "train"]
        folds = test.role.nunique()
        mine = voxels[voxels.subject == subject]
        rows.append(
            {
                "subject": subject,
                "training stories": _whole(train.n_train),
                "training hours": float(train.train_hours),
                "training TRs": _whole(train.train_trs),
                "test stories": ", ".join(test.story) if folds == 1 else f"{len(test)}, in {folds} folds",
                "test TRs": int(test.n_tr.sum()),
                "voxels": len(mine) or None,
                "with a reliable ceiling": int(mine.reliable.sum()) if len(mine) else None,
                "significant": int(mine.significant.sum()) if (mine.reference != "none").any() else None,
            }
        )
    return rows


def _whole(number: float) -> int | None:
    return None if pd.isna(number) else round(number)


def model_rows(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per model: its size, and its score at the layer chosen inside the training stories."""
    order = ("language", "speech", *OWN, "nested", "control")
    scores = best_layer(full_training(summary))
    scores = scores.assign(rank=scores.modality.map({kind: i for i, kind in enumerate(order)}).fillna(9))
    means = scores.groupby("model")[["mean_r", "mean_r2"]].mean()
    first = scores.drop_duplicates("model").sort_values(["rank", "family", "width", "model"])
    return [
        {
            "model": row.model,
            "kind": row.modality,
            "family": row.family,
            "parameters": _size(row.parameters),
            "without embeddings": _size(row.parameters_non_embedding),
            "layers": int(row.n_layers),
            "width": _whole(row.width),
            "layer": int(row.layer),
            "mean r": float(means.mean_r[row.model]),
            "mean signed r²": float(means.mean_r2[row.model]),
        }
        for row in first.itertuples()
    ]


def _size(parameters: float) -> str | None:
    return None if pd.isna(parameters) or not parameters else format_count(parameters)


def comparison_rows(sets: pd.DataFrame) -> list[dict[str, Any]]:
    """Of each comparison, the mean difference over each set of voxels, for the mean of subjects."""
    rows = []
    for name, part in sets.groupby("comparison", sort=False):
        rows += [
            {
                "comparison": name,
                "voxels": voxel_set_label(row.voxel_set),
                "metric": METRIC[row.metric],
                "a": row.a,
                "b": row.b,
                "a less b": between(row, "{:+.2g}", "difference"),
                "p": row.p,
                "p of regions, corrected": row.q,
            }
            for row in part[part.subject == mean_of_subjects(part)].itertuples()
        ]
    return rows


def check_rows(validation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every comparison with the known truth."""
    rows = [
        {
            "check": row["check"],
            "subject": _who(row["subject"]),
            "truth": row["truth"],
            "found": row["estimate"],
            "interval, or limit": minus(f"{row['low']:.3g} to {row['high']:.3g}"),
            "holds": bool(row["inside"]),
        }
        for row in validation.get("checks", [])
    ]
    return rows + [
        {
            "check": row["statement"],
            "subject": row["subject"],
            "truth": None,
            "found": row["larger"],
            "interval, or limit": minus(f"above {row['smaller']:.3g}"),
            "holds": bool(row["holds"]),
        }
        for row in validation.get("statements", [])
    ]


def next_rows(options: pd.DataFrame) -> list[dict[str, Any]]:
    """What each next step is expected to bring, for the mean of subjects over all voxels."""
    chosen = options[(options.subject == mean_of_subjects(options)) & (options.voxel_set == "all")]
    return [
        {
            "next step": row.option,
            "metric": METRIC[row.metric],
            "gain": between(row, "{:.3g}", "gain"),
            "unit": METRIC[row.metric] if row.unit == "metric" else row.unit,
        }
        for row in chosen.itertuples()
    ]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def switch_rows(config: Mapping[str, Any], presets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices in which the two presets differ, and this study's."""
    return [
        {"key": f"{part}.{key}", "decides": effect}
        | {
            name: _plain(settings.get(part, {}).get(key))
            for name, settings in {"this study": config, **presets}.items()
        }
        for (part, key), effect in ((name.split("."), effect) for name, effect in _SWITCHES.items())
    ]


def facts(
    tables: Mapping[str, pd.DataFrame], x_names: Mapping[str, str], chief_laws: Mapping[str, str]
) -> list[dict[str, str]]:
    """The study in a handful of numbers.

    Args:
        tables: frames by name.
        x_names: what each law runs over.
        chief_laws: the law shown for language models, for speech models and for training data.
    """
    summary, laws = tables["summary"], tables["laws"]
    found = [{"value": str(summary.subject.nunique()), "label": "subjects"}]
    most = _trained(summary).train_hours.max()
    if most > 0:
        hours = f"{most:.1f} h" if most >= 1 else f"{60 * most:.0f} min"
        found.append({"value": hours, "label": "of training stories in a subject's largest fits"})
    models = summary[summary.modality.isin(["language", "speech"])].model.nunique()
    found.append({"value": str(models), "label": "language and speech models"})
    if own := summary[summary.modality.isin(OWN)].model.nunique():
        found.append({"value": str(own), "label": "feature spaces of its own"})
    fits = summary[summary.voxel_set == "all"]
    found.append({"value": f"{len(fits):,}", "label": "encoding models fitted, each to every voxel"})
    for kind, law in chief_laws.items():
        for name, metric, fit in headlines(laws):
            if (name, metric) == (law, "r2") and pd.isna(fit.lacking.iloc[0]):
                slope, percent = rise(fit, x_names.get(law, "x"))
                value, _, ends = slope.partition(" ")
                label = " ".join(filter(None, [ends, f"{kind} law, signed r² per decade"]))
                found.append({"value": value, "label": f"{label}; {percent}" if percent else label})
    return found


_MORE = {
    "language": "the size of a language model",
    "speech": "the size of a speech model",
    "training": "the training data",
}


def abstract(
    tables: Mapping[str, pd.DataFrame], chief_laws: Mapping[str, str], interval: float, warned: int
) -> str:
    """The study in three sentences: what was measured, what was found, how sure it is.

    Args:
        tables: frames by name.
        chief_laws: as for `facts`.
        interval: coverage of the intervals.
        warned: number of the report's warnings.
    """
    summary = tables["summary"]
    rows = model_rows(summary)
    networks = [row for row in rows if row["kind"] in ("language", "speech")]
    own = [row for row in rows if row["kind"] in OWN]
    counted = [
        pluralize(len(networks), "language or speech model") if networks else "",
        pluralize(len(own), "feature space of its own", "feature spaces of its own") if own else "",
    ]
    shown = [*networks, *own] or rows
    models = " and ".join(filter(None, counted)) or pluralize(len(rows), "control")
    hours = _trained(summary).train_hours.max()
    best = max(shown, key=lambda row: row["mean r"], default=None)
    score = f"highest in {best['model']} ({best['mean r']:.3f})" if best else "not measured"
    fits = {law: fit for law, metric, fit in headlines(tables["laws"]) if metric == "r"}
    rises = [
        f"by {between(fits[law].loc['per_decade'], '{:+.2g}')} with ten times {_MORE[kind]}"
        for kind, law in chief_laws.items()
        if law in fits and pd.isna(fits[law].lacking.iloc[0])
    ]
    grows = f"changes {', '.join(rises)}" if rises else "allows no conclusion on how it grows"
    if warned:
        caution = f"read the {pluralize(warned, 'warning')} below first"
    else:
        caution = "no check of this report gave a warning"
    return (
        f"{pluralize(summary.subject.nunique(), 'subject')} listened to stories: from up to {hours:.2g} "
        f"hours of them, the responses to stories that a fit has not seen are predicted by {models}. "
        f"The mean correlation over voxels is {score}{f', and {grows}' if chief_laws else ''}. "
        f"Brackets are {interval:.0%} intervals; {caution}."
    )
