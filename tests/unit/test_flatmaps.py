"""Flatmaps: told plainly where pycortex is missing, drawn where it is there."""

import importlib.util

import numpy as np
import pytest

from voxscale import flatmaps
from voxscale.errors import UserError


@pytest.fixture
def without_pycortex(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        flatmaps.importlib.util, "find_spec", lambda name: None if name == "cortex" else find(name)
    )


def test_a_missing_pycortex_is_said_plainly(without_pycortex, tmp_path):
    assert flatmaps.why_not(tmp_path) == (
        "No flatmaps: pycortex is not installed; install it with `pip install pycortex` to have flatmaps."
    )
    with pytest.raises(UserError, match="pycortex is not installed"):
        flatmaps.draw_flatmap(np.zeros(3), "UTS01", "UTS01_auto", tmp_path, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_flatmap_of_pycortex_own_subject(tmp_path):
    cortex = pytest.importorskip("cortex")
    database = cortex.database.default_filestore
    mask = cortex.db.get_mask("S1", "fullhead", "thick")
    values = np.linspace(0, 1, mask.sum())
    values[::7] = np.nan
    assert flatmaps.why_not(database) is None
    flatmaps.draw_flatmap(values, "S1", "fullhead", database, tmp_path / "a.png", label="S1")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with pytest.raises(UserError, match="has no subject S9; fetch part pycortex-S9"):
        flatmaps.draw_flatmap(values, "S9", "fullhead", database, tmp_path / "b.png")
    with pytest.raises(UserError, match="3 values do not fit S1's transform fullhead"):
        flatmaps.draw_flatmap(values[:3], "S1", "fullhead", database, tmp_path / "b.png")
    assert flatmaps.why_not(tmp_path / "none").startswith("No flatmaps: ")
