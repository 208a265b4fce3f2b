"""Does a plateau depend on size or on text prediction? Scores against how well models predict the stories.

Bits per character of the same stories compare models with any tokenizer. If scores follow them better than
they follow size, scores stop rising where models stop predicting better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.features import feature_attrs, feature_files
from voxscale.io import tables
from voxscale.provenance import collect

_PREDICTORS = {"size": (0,), "bits": (1,), "size and bits": (0, 1)}


def _mean_bits(index: str | Path) -> float:
    """Bits per character of a model over the text of all its stories; NaN where it has none."""
    kept = [feature_attrs(index, story) for story in sorted(feature_files(index))]
    known = [(one["n_characters"], one["bits_per_character"]) for one in kept if "n_characters" in one]
    if not known:
        return np.nan
    characters, bits = np.array(known, float).T
    return float((characters * bits).sum() / characters.sum())


def left_out_error(design: np.ndarray, y: np.ndarray) -> float:
    """Root mean squared error of a linear fit at each point, by a fit to the others.

    Args:
        design: (points, predictors), without the constant.
    """
    x = np.column_stack([np.ones(len(y)), design])
    if len(y) < x.shape[1] + 2 or np.linalg.matrix_rank(x) < x.shape[1]:
        return np.nan
    hat = x @ np.linalg.pinv(x)
    with np.errstate(divide="ignore"):
        return float(np.sqrt(np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)))


def compare_predictors(
    points: Sequence[Mapping[str, Any]], bits: Mapping[str, float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of tables `plateau` and `plateau_fits`.

    Args:
        points: rows of table `law_points` of a law over models.
        bits: bits per character by model; models without are left out.
    """
    known = [
        {name: row[name] for name in ("law", "subject", "metric", "voxel_set", "model", "x", "y", "wide")}
        | {"family": row["group"], "bits_per_character": bits[row["model"]]}
        for row in points
        if np.isfinite(bits.get(row["model"], np.nan)) and np.isfinite(row["y"])
    ]
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in known:
        key = tuple(row[name] for name in ("law", "subject", "metric", "voxel_set"))
        groups.setdefault(key, []).append(row)
    fits = []
    for (law, subject, metric, name), rows in groups.items():
        y = np.array([row["y"] for row in rows])
        x = np.array([[np.log10(row["x"]), row["bits_per_character"]] for row in rows])
        key = {"law": law, "subject": subject, "metric": metric, "voxel_set": name, "n_points": len(y)}
        for predictor, columns in _PREDICTORS.items():
            error = left_out_error(x[:, list(columns)], y)
            fits.append(key | {"predictor": predictor, "left_out_rmse": error, "spread": float(y.std())})
    return known, fits


def write_plateau(
    points: str | Path, features: Mapping[str, str | Path], output: str | Path, output_fits: str | Path
) -> None:
    """Write tables `plateau` and `plateau_fits`.

    Args:
        points: table `law_points` of a law over language models.
        features: model -> its feature index.
    """
    bits = {model: _mean_bits(path) for model, path in features.items()}
    rows, fits = compare_predictors(tables.read("law_points", points).to_pylist(), bits)
    tables.write("plateau", rows, output, collect())
    tables.write("plateau_fits", fits, output_fits, collect())
