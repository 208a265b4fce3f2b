"""The two fits of a comparison, in each subject that has both."""

from collections.abc import Mapping
from typing import Any

from voxscale.errors import UserError
from voxscale.study.grid import Cell, Grid

SIDES = ("a", "b")


def compared_cells(grid: Grid, name: str, spec: Mapping[str, Any]) -> dict[str, tuple[Cell, Cell]]:
    """Subject -> the cells of fits a and b.

    Args:
        name, spec: of the comparison in the config.

    Raises:
        UserError: no sweep fits one of them, or no subject has both; fit a is another study's.
    """
    if spec["a"]["results"]:
        raise UserError(
            f"config key comparisons.{name}.a.results: fit a must be this study's; exchange a and b"
        )
    first, second = (_fits(grid, f"comparisons.{name}.{side}", spec[side]) for side in SIDES)
    both = {subject: (first[subject], second[subject]) for subject in first if subject in second}
    if not both:
        raise UserError(f"config key comparisons.{name}: no subject has both fits; take others")
    if all(cells[0] == cells[1] for cells in both.values()) and not spec["b"]["results"]:
        raise UserError(f"config key comparisons.{name}: a and b are the same fit; change one")
    return both


def _fits(grid: Grid, where: str, spec: Mapping[str, Any]) -> dict[str, Cell]:
    """Subject -> the cell of one fit."""
    model, asked = spec["model"], spec["n_train"]
    (layer,) = grid.layers(model, spec["layer"], where)
    sizes = {s: n if asked == "all" else asked for s, n in grid.stories.items()}
    cells = {subject: Cell(model, layer, subject, size) for subject, size in sizes.items()}
    found = {s: cell for s, cell in cells.items() if spec["results"] or cell in grid.draws}
    if not found:
        there = [cell for cell in grid.draws if cell.model == model]
        if not there:
            raise UserError(f"config key {where}: {model} is in no sweep; add it to one")
        layers, stories = (
            ", ".join(str(n) for n in sorted({getattr(cell, key) for cell in there}))
            for key in ("layer", "n_train")
        )
        raise UserError(
            f"config key {where}: no sweep fits layer {layer} of {model} to {asked} stories; take one of the "
            f"layers {layers} and of {stories} stories, or add it to a sweep"
        )
    return found
