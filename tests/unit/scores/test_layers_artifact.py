"""Layer profiles and their optimism; the long-context artifact: each against a known truth."""

import h5py
import numpy as np
import pyarrow as pa
import pytest
from simulated_study import chain, layer_scores, summary_row, write_moments, write_voxels

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.scores.artifact import write_artifact
from voxscale.scores.layers import optimism, profiles, write_layers


def test_choosing_on_the_test_set_raises_scores_and_more_so_with_more_layers():
    """All layers are alike at r = 0.1: any gain from choosing is noise."""
    rng = np.random.default_rng(0)
    found = {}
    for layers in (12, 96):
        r, cv_r = 0.1 + 0.05 * rng.normal(size=(2, layers, 2000))
        rows = optimism(r, cv_r, {"all": np.ones(2000, bool), "none": np.zeros(2000, bool)})
        assert {row["voxel_set"] for row in rows} == {"all"}
        found[layers] = {(row["unit"], row["metric"]): row for row in rows}
        assert found[layers]["voxel", "r"]["by_cv"] == pytest.approx(0.1, abs=0.005)
    few, many = (found[n]["voxel", "r2"] for n in (12, 96))
    assert many["by_test"] / few["by_test"] > 1.2, "raising the number of layers alone lifts signed r²"
    assert abs(many["by_cv"] / few["by_cv"] - 1) < 0.1
    assert many["optimism"] > 0.02


def test_the_best_layer_is_found_without_the_test_set():
    """Ridge on features of nine layers: a small run of benchmarks/validate_intervals.py."""
    found = [layer_scores(seed) for seed in range(12)]
    near = [abs(one.cv.argmax() - one.best) <= 1 for one in found]
    assert sum(near) >= 10
    excess = {
        rank: np.mean([one.test[i] - one.fresh[i] for one in found for i in [getattr(one, rank).argmax()]])
        for rank in ("cv", "test")
    }
    assert excess["test"] > excess["cv"] + 0.003, "a layer chosen on the test set scores too high"


def test_the_chosen_layer_is_that_of_training():
    rows = [
        summary_row(
            model="m", layer=i, subject="S", n_train=5, mean_cv_r=cv, mean_r=r, depth=i / 2, mean_r2=0.0
        )
        for i, (cv, r) in enumerate([(0.1, 0.5), (0.3, 0.2), (0.2, 0.1)])
    ]
    rows += [rows[1] | {"voxel_set": "roi:AC"}, rows[1] | {"voxel_set": "decile:1"}]
    table = pa.Table.from_pylist(rows, tables.SCHEMAS["summary"])
    found = profiles(table, [("m", i, "S", 5) for i in range(3)], ["all", "rois"])
    mine = [row for row in found if row["voxel_set"] == "all"]
    assert [row["chosen"] for row in mine] == [False, True, False]
    assert [row["best_on_test"] for row in mine] == [True, False, False]
    assert [row["depth"] for row in mine] == [0, 0.5, 1]
    assert {row["voxel_set"] for row in found} == {"all", "roi:AC"}
    with pytest.raises(UserError, match=r"profiles\.sweep: has several n_train"):
        profiles(table, [("m", 0, "S", 5), ("m", 0, "S", 3)], ["all"])


def test_profile_tables_from_gathered_scores(tmp_path):
    rng = np.random.default_rng(1)
    n, layers, columns = 30, 3, {}
    schema = tables.SCHEMAS["scores"]
    total = n * layers
    columns = {name: np.zeros(total) for name in schema.names}
    columns |= {"model": ["m"] * total, "subject": ["S"] * total, "n_train": np.full(total, 5)}
    columns |= {"layer": np.repeat(range(layers), n), "voxel": np.tile(np.arange(n), layers)}
    columns |= {
        "r": rng.normal(size=total),
        "cv_r": rng.normal(size=total),
        "alpha_edge": np.zeros(total, np.int8),
    }
    paths = [tmp_path / f"{i}.parquet" for i in range(layers)]
    for i, path in enumerate(paths):
        part = {name: values[i * n : (i + 1) * n] for name, values in columns.items()}
        tables.write("scores", part, path)
    means = columns["r"].reshape(layers, n).mean(1)
    rows = [
        summary_row(
            model="m", layer=i, subject="S", n_train=5, mean_r=means[i], mean_cv_r=0.1 * i, mean_r2=0.0
        )
        for i in range(layers)
    ]
    tables.write("summary", rows, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["S"], n)
    predicted, observed = chain(np.linspace(0.2, 0.4, layers)[:, None] * np.ones(n), 400)
    moments = [
        write_moments(tmp_path / f"{i}.h5", p[None], observed, {"a": 400}) for i, p in enumerate(predicted)
    ]
    inputs = paths, moments, tmp_path / "summary.parquet", tmp_path / "voxels.parquet"
    outputs = tmp_path / "layers.parquet", tmp_path / "choice.parquet"
    settings = {"skip_s": 0, "tr_s": 2.0, "draws": 60, "interval": 0.9, "seed": 0}
    write_layers([("m", i, "S", 5) for i in range(layers)], *inputs, *outputs, settings)
    choice = tables.read("layer_choice", outputs[1]).to_pandas()
    row = choice[(choice.voxel_set == "all") & (choice.unit == "voxel") & (choice.metric == "r")].iloc[0]
    assert row.by_test == pytest.approx(columns["r"].reshape(layers, n).max(0).mean(), rel=1e-6)
    found = tables.read("layers", outputs[0]).to_pandas()
    assert len(found) == layers
    for i, p in enumerate(predicted):
        seen = np.mean([np.corrcoef(p[v], observed[v])[0, 1] for v in range(n)])
        assert found.r_lo.iloc[i] < seen < found.r_hi.iloc[i]
        assert found.r2_lo.iloc[i] < seen**2 < found.r2_hi.iloc[i]
        assert found.r_hi.iloc[i] - found.r_lo.iloc[i] < 0.2
    for path in moments:
        with h5py.File(path, "a") as file:
            file.attrs["crossed"] = True
    write_layers([("m", i, "S", 5) for i in range(layers)], *inputs, *outputs, settings)
    assert not tables.read("layer_choice", outputs[1]).num_rows, (
        "with folds a layer is chosen on the test set"
    )
    assert tables.read("layers", outputs[0]).num_rows == layers


def test_scores_fall_with_the_cut_where_the_start_was_predictable(tmp_path):
    rng = np.random.default_rng(2)
    trs, voxels = 300, 40
    p = rng.normal(size=(voxels, trs))
    y = 0.3 * p + rng.normal(size=p.shape)
    y[:20, :50] += 4 * np.exp(-np.arange(50) / 40)
    p[:20, :50] += 4 * np.exp(-np.arange(50) / 40)
    path = write_moments(tmp_path / "m.h5", p[None], y, {"a": trs})
    write_voxels(tmp_path / "voxels.parquet", ["S"], voxels, region="AC")
    settings = {"skip_s": 100, "tr_s": 2.0, "block_trs": 10, "draws": 400, "interval": 0.9, "seed": 0}
    output = tmp_path / "artifact.parquet"
    write_artifact([("m", 1, "S", 5)], [path], tmp_path / "voxels.parquet", output, settings)
    table = tables.read("artifact", output).to_pandas()
    assert sorted(table.cut_s.unique()) == [0, 20, 40, 60, 80, 100, 120]
    region = table[(table.voxel_set == "roi:AC") & (table.metric == "r")].set_index("cut_s")
    literal = [np.corrcoef(p[v, 20:], y[v, 20:])[0, 1] for v in range(20)]
    assert region.loc[40, "y"] == pytest.approx(np.mean(literal), abs=1e-5)
    assert region.loc[0, "percent"] > 30
    assert region.loc[100, "percent"] == 0
    assert (region.y.diff().dropna()[:3] < 0).all()
    assert (region.lo < region.y).all()
    assert (region.y < region.hi).all()
    assert region.loc[100, ["difference", "difference_lo", "difference_hi"]].tolist() == [0, 0, 0]
    gained = region.loc[0]
    assert gained.difference == pytest.approx(gained.y - region.loc[100, "y"])
    assert 0 < gained.difference_lo < gained.difference < gained.difference_hi
    assert region.loc[[80, 120], ["difference_lo", "difference_hi"]].isna().all(axis=None), (
        "cuts that differ in one or two blocks"
    )
    write_artifact(
        [("m", 1, "S", 5)], [path], tmp_path / "voxels.parquet", output, settings | {"skip_s": 160}
    )
    table = tables.read("artifact", output).to_pandas()
    assert sorted(table.cut_s.unique()) == [0, 20, 40, 60, 80, 100, 120, 160]
    assert (table[table.cut_s == 160].difference == 0).all(), "the study's own cut, however late"
    late = settings | {"skip_s": 560, "draws": 20}
    write_artifact([("m", 1, "S", 5)], [path], tmp_path / "voxels.parquet", output, late)
    table = tables.read("artifact", output).to_pandas()
    assert table.y.notna().any()
    assert table[["difference", "difference_lo", "difference_hi", "percent"]].isna().all(axis=None), (
        "two blocks behind the study's own cut: no other cut stands in"
    )
