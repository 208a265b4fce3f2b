"""Does a plateau depend on size or on text prediction? Scores against how well models predict the stories.

Bits per character of the same stories compare models with any tokenizer. If scores follow them better than
they follow size, scores stop rising where models stop predicting better.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxscale.features import feature_attrs, feature_files
from voxscale.io import tables
from voxscale.provenance import collect

_PREDICTORS = {"size": [0], "bits": [1], "size and bits": [0, 1]}


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
    points: pd.DataFrame, bits: Mapping[str, float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of tables `plateau` and `plateau_fits`.

    Args:
        points: table `law_points` of a law over models.
        bits: bits per character by model; models without are left out.
    """
    known = points.assign(bits_per_character=points.model.map(bits), family=points.group)
    known = known.dropna(subset=["bits_per_character", "y"])
    key, fits = ["law", "subject", "metric", "voxel_set"], []
    for names, rows in known.groupby(key, sort=False):
        x, y = np.column_stack([np.log10(rows.x), rows.bits_per_character]), rows.y.to_numpy()
        about = dict(zip(key, names, strict=True)) | {"n_points": len(y), "spread": float(y.std())}
        for predictor, columns in _PREDICTORS.items():
            fits.append(about | {"predictor": predictor, "left_out_rmse": left_out_error(x[:, columns], y)})
    return known[tables.SCHEMAS["plateau"].names].to_dict("records"), fits


def write_plateau(
    points: str | Path, features: Mapping[str, str | Path], output: str | Path, output_fits: str | Path
) -> None:
    """Write tables `plateau` and `plateau_fits`.

    Args:
        points: table `law_points` of a law over language models.
        features: model -> its feature index.
    """
    bits = {model: _mean_bits(path) for model, path in features.items()}
    rows, fits = compare_predictors(tables.read("law_points", points).to_pandas(), bits)
    tables.write("plateau", rows, output, collect())
    tables.write("plateau_fits", fits, output_fits, collect())
