"""Left less right of homologous regions: the truth is in the interval, regions of one side are left out."""

import numpy as np
import pytest
from simulated_study import chain, write_moments, write_voxels

from voxscale.io import tables
from voxscale.scores import write_asymmetry

SETTINGS = {"skip_s": 0, "tr_s": 2.0, "draws": 200, "interval": 0.9, "seed": 0}
ROI = ["V1_left"] * 10 + ["V1_right"] * 8 + ["A1_left"] * 6 + [None] * 6


def test_left_is_compared_with_right_in_each_subject_and_their_mean(tmp_path):
    write_voxels(tmp_path / "all.parquet", ["S1", "S2"], len(ROI))
    known = tables.read("voxels", tmp_path / "all.parquet").to_pylist()
    rows = [row | {"roi": region} for row, region in zip(known, ROI * 2, strict=True)]
    tables.write("voxels", rows, tmp_path / "voxels.parquet")
    r, moments = np.where(np.arange(len(ROI)) < 10, 0.6, 0.3), []
    for i, subject in enumerate(("S1", "S2")):
        moments.append(tmp_path / f"{subject}.h5")
        write_moments(moments[-1], *chain(r[None], 300, seed=i), {"t": 300})
    cells = [("m", 3, subject, 5) for subject in ("S1", "S2")]
    write_asymmetry(cells, moments, tmp_path / "voxels.parquet", tmp_path / "asymmetry.parquet", SETTINGS)
    rows = tables.read("asymmetry", tmp_path / "asymmetry.parquet").to_pandas()
    assert set(rows.region) == {"V1"}
    one = rows[rows.metric == "r"].set_index("subject")
    assert list(one.index) == ["S1", "S2", "pooled"]
    assert (one.lo < 0.3).all()
    assert (one.hi > 0.3).all()
    assert one.difference["pooled"] == pytest.approx((one.difference["S1"] + one.difference["S2"]) / 2)
    assert np.allclose(one.difference, one.left - one.right)
    assert (one.n_left["pooled"], one.n_right["S1"]) == (20, 8)
