"""Room left below the noise ceiling: one row per model and voxel, against literal loops."""

import numpy as np

from voxscale.io import tables
from voxscale.scores.room import write_room


def test_room_and_share_of_the_ceiling(tmp_path):
    rng = np.random.default_rng(0)
    schema = tables.SCHEMAS["scores"]
    rows = [
        dict.fromkeys(schema.names, 0)
        | {"model": model, "subject": "S", "voxel": v, "draw": d}
        | {"r": rng.uniform(), "r_ceiling": rng.uniform(), "cv_r": cv, "p": 0.5}
        for model, cvs in (("a", (0.1, 0.5, 0.2, np.nan)), ("b", (0.3, 0.5, 0.1, np.nan)))
        for v, cv in enumerate(cvs)
        for d in (0, 1)
    ]
    voxels = [
        dict.fromkeys(tables.SCHEMAS["voxels"].names)
        | {"subject": "S", "voxel": v, "explainable": 0.5}
        | {"ccmax": ccmax, "reliable": v != 2, "scored": True, "significant": True}
        | {"reference": "none"}
        for v, ccmax in enumerate((0.5, 0.8, 0.9, 0.7))
    ]
    tables.write("scores", rows, tmp_path / "scores.parquet")
    tables.write("voxels", voxels, tmp_path / "voxels.parquet")
    write_room(tmp_path / "scores.parquet", tmp_path / "voxels.parquet", tmp_path / "room.parquet")
    found = tables.read("room", tmp_path / "room.parquet").to_pandas().set_index(["model", "voxel"])
    assert len(found) == 8
    for row in rows:
        if row["draw"]:
            continue
        one, voxel = found.loc[row["model"], row["voxel"]], voxels[row["voxel"]]
        if not voxel["reliable"]:
            assert np.isnan([one.ccmax, one.ccnorm, one.room]).all()
            continue
        np.testing.assert_allclose(one.room, voxel["ccmax"] - row["r_ceiling"], atol=1e-6)
        np.testing.assert_allclose(one.ccnorm, row["r_ceiling"] / voxel["ccmax"], atol=1e-6)
    chosen = found[found.chosen].reset_index()
    assert list(zip(chosen.voxel, chosen.model, strict=True)) == [(1, "a"), (2, "a"), (0, "b")]
