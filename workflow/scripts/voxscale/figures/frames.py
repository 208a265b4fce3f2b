"""What figures take from the study's tables: pandas frames, and the cells that stand for a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from voxscale.io import tables


def load(
    name: str, paths: str | Path | Sequence[str | Path], columns: list[str] | None = None
) -> pd.DataFrame:
    """One table, or several files of it one under the other; no rows when there are no files."""
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    parts = [tables.read(name, path, columns).to_pandas() for path in paths]
    if not parts:
        return pd.DataFrame(columns=columns or tables.SCHEMAS[name].names)
    return pd.concat(parts, ignore_index=True)


def set_name(voxel_set: str) -> str:
    """A voxel set as people say it: `roi:early_auditory` is `early auditory`."""
    kind, _, name = voxel_set.partition(":")
    if kind == "decile":
        return f"ceiling decile {name}"
    return (name or kind).replace("_", " ")


def full(summary: pd.DataFrame, voxel_set: str = "all") -> pd.DataFrame:
    """Rows of each subject's largest training set, draws averaged away."""
    rows = summary[summary.voxel_set == voxel_set]
    largest = rows.groupby("subject").n_train.transform("max")
    return rows[(rows.n_train == largest) & (rows.draw == 0)]


def one_layer(summary: pd.DataFrame) -> pd.DataFrame:
    """Of each model only the layer with the best mean held-out r inside the training stories.

    Only layers that most of its subjects have: a layer swept in one subject is not compared with a mean.
    """
    inside = summary.groupby(["model", "layer"], as_index=False).agg(
        subjects=("subject", "nunique"), score=("mean_cv_r", "mean")
    )
    best = inside.sort_values(["subjects", "score"]).drop_duplicates("model", keep="last")
    return summary.merge(best[["model", "layer"]], on=["model", "layer"])


def with_place(table: pd.DataFrame, voxels: pd.DataFrame) -> pd.DataFrame:
    """Add hemisphere, vertex and region (`no region` where the dataset has none) to a per-voxel table."""
    place = voxels[["subject", "voxel", "hemisphere", "vertex", "roi"]]
    placed = table.merge(place, on=["subject", "voxel"], how="left")
    placed["roi"] = placed.roi.replace("", None).fillna("no region").str.replace("_", " ")
    return placed
