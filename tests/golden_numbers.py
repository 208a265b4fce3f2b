"""Some numbers of arrays, tables and features, to be compared with golden ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxscale.io import tables

N_KEPT = 8  # values of an array that are compared one by one; the rest by its mean
ROOT = Path(__file__).parents[1]
STORY = {"a": 40, "b": 50, "t": 60}  # TRs


def kept(values: Any) -> list[float]:
    """Some values of an array, the mean of those that are finite, and how many they are."""
    flat = np.asarray(values, np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    some = flat[np.unique(np.linspace(0, len(flat) - 1, N_KEPT).astype(int))] if len(flat) else flat
    return [*some.tolist(), float(finite.mean()) if len(finite) else 0.0, len(finite)]


def of_frame(frame: pd.DataFrame, name: str) -> dict[str, list[float]]:
    """The columns of a frame that hold numbers or flags and are not the same all over."""
    numeric = frame.select_dtypes(["number", "bool"])
    return {f"{name}.{column}": kept(numeric[column]) for column in numeric if frame[column].nunique() > 1}


QUANTITY = {"laws": ["form", "parameter"], "what_next": ["option", "unit"]}  # rows of several quantities


def of_tables(folder: Path, **paths: str) -> dict[str, list[float]]:
    """The columns of tables on disk, by table, and by quantity where a column holds several."""
    found = {}
    for name, path in paths.items():
        frame = tables.read(name, folder / path).to_pandas()
        if name in QUANTITY:
            for quantity, part in frame.groupby(QUANTITY[name]):
                found |= of_frame(part, ".".join([name, *quantity]))
        else:
            found |= of_frame(frame, name)
    return found


def of_features(index: Path) -> dict[str, list[float]]:
    """Every layer of every story, and the numbers kept beside them."""
    from voxscale.features import store

    found = {}
    for story, file in sorted(store.feature_files(index).items()):
        for layer in sorted(store.stored_names(file)[0]):
            found[f"{story}.{layer}"] = kept(store.read_features(index, story, layer))
        numbers = store.feature_attrs(index, story).items()
        found |= {f"{story}.{key}": [value] for key, value in numbers if isinstance(value, int | float)}
    return found
