"""Scores against size and against surprisal: the one that made them predicts the model left out."""

import numpy as np
import pandas as pd
import pytest

from voxscale.features import store as feature_store
from voxscale.io import tables
from voxscale.laws.plateau import compare_predictors, left_out_error, write_plateau


def point(model, x, y, **known):
    row = {"law": "l", "subject": "S", "metric": "r", "voxel_set": "all", "group": "opt", "wide": False}
    return row | {"model": model, "x": x, "y": y, **known}


def test_left_out_error_is_that_of_refitting():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 2)), rng.normal(size=9)
    errors = []
    for i in range(9):
        rest = np.arange(9) != i
        full = np.column_stack([np.ones(9), x])
        weights = np.linalg.lstsq(full[rest], y[rest], rcond=None)[0]
        errors.append(y[i] - full[i] @ weights)
    assert left_out_error(x, y) == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert np.isnan(left_out_error(x[:3], y[:3]))
    assert np.isnan(left_out_error(np.ones((9, 1)), y)), "one size for all says nothing"


def test_predictor_that_made_the_scores_wins():
    rng = np.random.default_rng(1)
    sizes = np.geomspace(1e8, 1e11, 8)
    bits = {f"m{i}": b for i, b in enumerate(rng.uniform(0.8, 1.6, 8))}
    by_bits = [point(f"m{i}", x, 0.3 - 0.1 * bits[f"m{i}"]) for i, x in enumerate(sizes)]
    by_size = [point(f"m{i}", x, 0.01 * np.log10(x), subject="T") for i, x in enumerate(sizes)]
    lost = point("unknown", 1e9, 0.1)
    rows, fits = compare_predictors(pd.DataFrame([*by_bits, *by_size, lost]), bits)
    assert len(rows) == 16
    error = {(row["subject"], row["predictor"]): row["left_out_rmse"] for row in fits}
    assert error["S", "bits"] < 1e-9 < error["S", "size"]
    assert error["T", "size"] < 1e-9 < error["T", "bits"]


def test_bits_come_from_the_feature_files(tmp_path):
    files = {}
    # Story b has as many words as a, and three times as much text.
    for story, characters, bits in (("a", 500, 1.0), ("b", 1500, 2.0)):
        files[story] = tmp_path / f"{story}.h5"
        attrs = {"n_words": 100, "n_characters": characters, "bits_per_character": bits}
        feature_store.write_features(files[story], {0: np.zeros((4, 2), np.float32)}, attrs)
    index = tmp_path / "m.h5"
    feature_store.write_feature_index(index, files)
    full = {"layer": 1, "n_train": 3, "x_name": "parameters", "lo": 0.0, "hi": 1.0, "n_draws": 1}
    full |= {"n_voxels": 100, "n_left_out": 0}
    rows = [point("m", 10.0, 0.1, **full, layer_choice="fixed")]
    tables.write("law_points", rows, tmp_path / "points.parquet")
    outputs = tmp_path / "plateau.parquet", tmp_path / "fits.parquet"
    write_plateau(tmp_path / "points.parquet", {"m": index}, *outputs)
    (row,) = tables.read("plateau", outputs[0]).to_pylist()
    assert row["bits_per_character"] == pytest.approx(1.75)
    assert tables.read("plateau_fits", outputs[1]).num_rows == 3
