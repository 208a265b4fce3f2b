"""A subject's stack from files to tables: the same as stacking all voxels at once, bad files refused."""

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.stacking import subject as stacks
from voxscale.stacking.block import ScoredRows, stack_block
from voxscale.timeseries.standardize import zscore

VOXELS, LENGTHS = 23, {"a": 300, "b": 200, "t": 180}
SETTINGS = {"zscore_test": "story", "skip_s": 60, "tr_s": 2.0, "block_trs": 10}
SETTINGS |= {"draws": 50, "seed": 0, "interval": 0.9, "memory_gb": 4}
CELLS = [("lm", 3, "S", 2), ("sp", 1, "S", 2)]


@pytest.fixture
def study(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    a, b, noise = ({story: rng.normal(size=(VOXELS, n)) for story, n in LENGTHS.items()} for _ in range(3))
    responses = {s: (5 + a[s] + 0.7 * b[s] + noise[s]).astype(np.float32) for s in LENGTHS}
    subject = SimpleNamespace(
        n_voxels=VOXELS,
        voxels=np.arange(VOXELS) * 2,
        n_trs=lambda story: LENGTHS[story],
        read=lambda story, part: responses[story][part],
    )
    monkeypatch.setattr(stacks, "open_subject", lambda path: subject)
    paths, cards = [], []
    for (model, *_), source, modality in zip(CELLS, (a, b), ("language", "speech"), strict=True):
        paths.append(tmp_path / f"{model}.h5")
        oof = np.concatenate([source["a"], source["b"]], 1)
        oof[:, 100:120] = np.nan  # never held out
        with h5py.File(paths[-1], "w") as file:
            file["oof"], file["test"] = oof.astype(np.float32), source["t"].astype(np.float32)
            file["voxel"] = subject.voxels
            for role, names in (("train", ["a", "b"]), ("test", ["t"])):
                file.create_dataset(f"{role}_story", data=names, dtype=h5py.string_dtype())
                file[f"{role}_trs"] = [LENGTHS[name] for name in names]
        cards.append(tmp_path / f"{model}.json")
        cards[-1].write_text(json.dumps({"modality": modality}))
    outputs = tmp_path / "stacking.parquet", tmp_path / "weights.parquet"
    sources = paths, cards, tmp_path / "S.h5", *outputs
    return {"sources": sources, "truth": (a, b, responses), "paths": paths}


def test_tables_are_those_of_all_voxels_at_once(study, monkeypatch):
    monkeypatch.setattr(stacks, "voxel_slices", lambda n, *_: [slice(0, 9), slice(9, n)])
    stacks.write_stacking(*study["sources"], CELLS, SETTINGS)
    found = tables.read("stacking", study["sources"][3]).to_pandas()
    a, b, responses = study["truth"]
    keep = np.r_[0:100, 120:500]
    y = np.concatenate([zscore(responses[s], 1) for s in ("a", "b")], 1)[:, keep]
    oof = np.array([np.concatenate([x["a"], x["b"]], 1)[:, keep] for x in (a, b)])
    rows = ScoredRows.of({"t": 180}, 30, 10, 50, 0, 0.9)
    test = np.array([a["t"], b["t"]])
    columns, weights = stack_block(oof, test, y, zscore(responses["t"], 1), ["language", "speech"], rows)
    for name in ("r_stacked", "gain", "gain_lo", "unique_language", "shared"):
        np.testing.assert_allclose(found[name], columns[name], atol=1e-5)
    assert set(found.best) == {"lm layer 3"}
    assert found.voxel.tolist() == list(range(0, 2 * VOXELS, 2))
    assert (found.gain > 0).mean() > 0.9
    shares = tables.read("stacking_weights", study["sources"][4]).to_pandas()
    np.testing.assert_allclose(shares.weight.to_numpy().reshape(VOXELS, 2), weights, atol=1e-5)
    assert shares.model.tolist()[:2] == ["lm", "sp"]


def test_predictions_of_something_else_are_refused(study):
    with h5py.File(study["paths"][1], "a") as file:
        file["voxel"][0] = 99
    with pytest.raises(UserError, match=r"sp\.h5: has other voxels or stories than .*lm\.h5"):
        stacks.write_stacking(*study["sources"], CELLS, SETTINGS)
    with h5py.File(study["paths"][0], "a") as file:
        file["test_trs"][0] = 99
    with pytest.raises(UserError, match=r"lm\.h5: its voxels or stories are not those of .*S\.h5"):
        stacks.write_stacking(*study["sources"], CELLS, SETTINGS)
    study["paths"][1].write_text("cut")
    with pytest.raises(UserError, match=r"sp\.h5: damaged"):
        stacks.write_stacking(*study["sources"], CELLS, SETTINGS)
