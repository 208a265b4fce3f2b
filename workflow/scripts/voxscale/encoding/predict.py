"""What a cell's fit predicts, and its weights, at the alphas that the fit chose."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from voxscale.encoding.data import CellData, plan_in_memory
from voxscale.errors import UserError
from voxscale.io import add_array, checked, new_hdf5, set_attributes, tables
from voxscale.progress import bar
from voxscale.ridge import RidgeProblem, predict_ridge, solve_weights


@contextlib.contextmanager
def _new_file(path: str | Path, data: CellData) -> Iterator[h5py.File]:
    """A file of a cell with its voxels, its training stories and its provenance."""
    with new_hdf5(path) as file:
        yield file
        add_array(file, "voxel", data.responses.voxels)
        _add_stories(file, "train", data, data.stories(0))
        set_attributes(file, {"provenance": json.dumps(data.provenance, sort_keys=True)})


def _add_stories(file: h5py.File, role: str, data: CellData, stories: Sequence[str]) -> None:
    add_array(file, f"{role}_story", stories)
    add_array(file, f"{role}_trs", data.lengths(stories))


def predict_cell(data: CellData, scores: str | Path, predictions_out: str | Path) -> None:
    """Write the predictions of a cell's first draw at the alphas its fit chose.

    The file holds `oof` (voxels, training TRs), each TR predicted by the folds that hold it out, and `test`
    (voxels, test TRs), float32, in units of z-scored responses; `voxel`; and the stories and their TRs in the
    order of the columns (`train_story`, `train_trs`, `test_story`, `test_trs`).

    Args:
        scores: the cell's table.

    Raises:
        UserError: anything wrong with the files, or scores of other voxels or another grid of alphas.
    """
    (problem, chosen), n_voxels = _solved(data, scores, centred=False), data.responses.n_voxels
    with _new_file(predictions_out, data) as file:
        oof, test = (
            file.create_dataset(name, **checked((n_voxels, len(rows)), (64, len(rows))))
            for name, rows in (("oof", problem.x_train), ("test", problem.x_test))
        )
        with bar(range(n_voxels), "predict", unit="voxel") as progress:
            for part in predict_ridge(problem, chosen):
                oof[part.voxels], test[part.voxels] = part.oof, part.test
                progress.update(len(part.voxels))
        _add_stories(file, "test", data, data.test)


def weigh_cell(data: CellData, scores: str | Path, weights_out: str | Path) -> None:
    """Write the ridge weights of a cell's first draw at the alphas its fit chose.

    The file holds `weights` (voxels, delays, features) float32, from features z-scored per story to responses
    z-scored per story, NaN for voxels without a fit; `voxel`, `delay` (TRs), `train_story` and `train_trs`.

    Args, Raises: as for `predict_cell`.
    """
    (problem, chosen), n_voxels = _solved(data, scores), data.responses.n_voxels
    shape = n_voxels, len(problem.delays), problem.x_train.shape[1]
    with _new_file(weights_out, data) as file:
        table = file.create_dataset("weights", **checked(shape, (1, *shape[1:])), fillvalue=np.nan)
        add_array(file, "delay", problem.delays)
        with bar(range(n_voxels), "weigh", unit="voxel") as progress:
            for part in solve_weights(problem, chosen):
                table[part.voxels] = part.values
                progress.update(len(part.voxels))


def _solved(data: CellData, scores: str | Path, centred: bool = True) -> tuple[RidgeProblem, np.ndarray]:
    """The first draw's problem, and (voxels,) index of each voxel's alpha on its grid; -1: it has none."""
    if len(data.folds) > 1:
        raise UserError(
            "config key dataset.test_stories: has folds, but predictions and weights are those of one fit; "
            "list the test stories"
        )
    problem = data.problem(0)
    plan_in_memory(problem, centred)
    alphas = problem.absolute_alphas()
    table = tables.read("scores", scores, ["draw", "voxel", "alpha"])
    first = table["draw"].to_numpy() == 0
    alpha = table["alpha"].to_numpy()[first].astype(np.float64)
    if not np.array_equal(table["voxel"].to_numpy()[first], data.responses.voxels):
        raise UserError(f"{scores}: has other voxels than the responses; fit the cell again")
    known = np.isfinite(alpha)
    index = np.abs(np.log(np.where(known, alpha, 1.0))[:, None] - np.log(alphas)).argmin(1)
    if not np.allclose(alphas[index][known], alpha[known], rtol=1e-4):
        raise UserError(f"{scores}: was fitted with another grid of alphas; fit the cell again")
    return problem, np.where(known, index, -1)
