"""The grid: sweeps stand side by side, never as a cross product."""

from types import SimpleNamespace

import pytest

from voxscale.errors import UserError
from voxscale.study.grid import Cell, Grid, resolve_layers

MODELS = {
    "a": SimpleNamespace(all_layers=range(5), modality="language"),
    "b": SimpleNamespace(all_layers=range(3), modality="speech"),
}
STORIES = {"UTS01": 3, "UTS02": 2}


def sweep(models, layers="last", n_train=("all",), draws=1, subjects="all"):
    return {
        "models": models,
        "layers": layers,
        "n_train": list(n_train),
        "draws": draws,
        "subjects": subjects,
    }


def test_layers_of_every_spec():
    assert resolve_layers("all", "a", range(4)) == [0, 1, 2, 3]
    assert resolve_layers("last", "a", range(4)) == [3]
    assert resolve_layers({"depth": 0.75}, "a", range(13)) == [9]
    assert resolve_layers({"depth": 0.5}, "a", range(2)) == [1]
    assert resolve_layers([0, 2], "a", range(4)) == [0, 2]
    with pytest.raises(UserError, match="layer 4 of model a, which has layers 0 to 3"):
        resolve_layers([4], "a", range(4))


def test_two_sweeps_share_their_cell_and_have_no_cross_product():
    grid = Grid(
        {"layers": sweep(["a"], "all"), "sizes": sweep(["a"], [3], (1, "all"), draws=5)}, MODELS, STORIES
    )
    full = [Cell("a", layer, subject, n) for layer in range(5) for subject, n in (("UTS01", 3), ("UTS02", 2))]
    assert set(grid.cells("layers")) == set(full)
    assert set(grid.cells()) == {*full, Cell("a", 3, "UTS01", 1), Cell("a", 3, "UTS02", 1)}
    assert grid.draws[Cell("a", 3, "UTS01", 1)] == 5
    assert grid.draws[Cell("a", 3, "UTS01", 3)] == 1, "all stories leave nothing to draw"


@pytest.mark.parametrize(
    ("sweeps", "line"),
    [
        ({"x": sweep(["c"])}, "sweeps.x.models: unknown model c; add it under models:"),
        ({"x": sweep(["a"], n_train=[3])}, "sweeps.x.n_train: 3 stories requested, but UTS02 has 2"),
        ({"x": sweep(["a"], subjects=["UTS09"])}, "sweeps.x.subjects: UTS09 is not in dataset.subjects"),
        ({"x": sweep(["b"], [3])}, "config key sweeps.x.layers: layer 3 of model b, which has layers 0 to 2"),
    ],
)
def test_mistakes_name_their_key(sweeps, line):
    with pytest.raises(UserError, match=line):
        Grid(sweeps, MODELS, STORIES).cells()
