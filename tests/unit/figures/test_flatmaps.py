"""Flatmaps: drawn if pycortex is installed; a clear message if not."""

import numpy as np
import pytest
from published import write_kept, write_published

from voxscale.cortex import pycortex
from voxscale.dataset.preparation import prepare_responses
from voxscale.errors import UserError
from voxscale.figures import flatmap as flatmaps
from voxscale.io import tables


@pytest.fixture
def without_pycortex(monkeypatch):
    monkeypatch.setattr(pycortex, "pycortex_installed", lambda: False)


def test_a_missing_pycortex_is_said_plainly(without_pycortex, tmp_path):
    with pytest.raises(UserError, match="No flatmaps: pycortex is not installed; install it with `make"):
        flatmaps.paint_flatmap(np.zeros(3), "UTS01", "UTS01_auto", tmp_path, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_scores_go_back_to_their_voxels(tmp_path):
    rows = write_published(tmp_path, {"exam": 12}, ["UTS01"], n_voxels=6)
    assert rows
    files = {"exam": [tmp_path / "derivative/preprocessed_data/UTS01/exam.hf5"]}
    clocks, kept = tmp_path / "derivative/respdict.json", write_kept(tmp_path / "kept.tsv", [1, 4])
    prepare_responses(tmp_path / "UTS01.h5", files, clocks, ["exam"], voxels=kept)
    schema = tables.SCHEMAS["scores"]
    plain = {"model": "m", "subject": "UTS01", "draw": 0}
    columns = {
        name: [plain.get(name, "x" if str(schema.field(name).type) == "string" else 0)] * 2
        for name in schema.names
    }
    tables.write("scores", columns | {"voxel": [1, 4], "r": [0.25, -0.5]}, tmp_path / "scores.parquet")
    found = flatmaps.whole_cortex(tmp_path / "scores.parquet", tmp_path / "UTS01.h5", "UTS01", "m")
    np.testing.assert_array_equal(found, [np.nan, 0.25, np.nan, np.nan, -0.5, np.nan])
    with pytest.raises(UserError, match="has no score of other for UTS01"):
        flatmaps.whole_cortex(tmp_path / "scores.parquet", tmp_path / "UTS01.h5", "UTS01", "other")
    (tmp_path / "xfms.json").write_text("{}")
    args = (tmp_path / "scores.parquet", tmp_path / "UTS01.h5", "UTS01", "m", tmp_path / "xfms.json")
    with pytest.raises(UserError, match="has no transform of UTS01"):
        flatmaps.draw_flatmap(*args, tmp_path, tmp_path / "a.png")


@pytest.mark.slow
@pytest.mark.skipif(not pycortex.pycortex_installed(), reason="needs pycortex: make test-flatmaps")
@pytest.mark.filterwarnings("ignore")
def test_a_flatmap_of_pycortex_own_subject(tmp_path):
    import cortex

    database = cortex.database.default_filestore
    mask = cortex.db.get_mask("S1", "fullhead", "thick")
    values = np.linspace(0, 1, mask.sum())
    values[::7] = np.nan
    flatmaps.paint_flatmap(values, "S1", "fullhead", database, tmp_path / "a.png", "S1")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with pytest.raises(UserError, match="has no subject S9; download part pycortex-S9"):
        flatmaps.paint_flatmap(values, "S9", "fullhead", database, tmp_path / "b.png")
    with pytest.raises(UserError, match="3 values do not fit S1's transform fullhead"):
        flatmaps.paint_flatmap(values[:3], "S1", "fullhead", database, tmp_path / "b.png")
    with pytest.raises(UserError, match="none: is not a pycortex database; download part pycortex-S1"):
        flatmaps.paint_flatmap(values, "S1", "fullhead", tmp_path / "none", tmp_path / "b.png")
