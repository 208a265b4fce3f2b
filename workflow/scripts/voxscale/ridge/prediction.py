"""Out-of-fold predictions, test predictions and weights at alphas that are already chosen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from voxscale.ridge.dual import Dual, inverse
from voxscale.ridge.kernel import delayed_rows
from voxscale.ridge.operators import make_operators
from voxscale.ridge.problem import Prediction, RidgeProblem
from voxscale.ridge.solver import DTYPES, Reader, find_device, make_form, plan, predict_chosen, slices


def predict(problem: RidgeProblem, alpha_index: np.ndarray) -> Iterator[Prediction]:
    """Predict each training TR from the folds that hold it out, and the test set from all training TRs.

    Unlike for scores, predictions keep their mean. A TR that several folds hold out has the mean of theirs.

    Args:
        alpha_index: (voxels,) index into the grid, -1: no prediction (NaN).

    Yields:
        predictions of some voxels; each voxel comes once. In order if all alphas fit into the memory.
    """
    how, device, dtype = plan(problem), find_device(problem.device), DTYPES[problem.precision]
    form = make_form(problem, how.form, centred=False)
    reader = Reader(problem.y_train, problem.precision, device)
    lams = (problem.absolute_alphas() ** 2).tolist()
    n_alphas, n_voxels = len(lams), problem.y_train.shape[0]
    held = [torch.as_tensor(fold.held, device=device) for fold in problem.folds]
    times = np.zeros(len(problem.x_train))
    for fold in problem.folds:
        times[fold.held] += 1
    weight = torch.as_tensor(
        np.where(times > 0, 1 / np.maximum(times, 1), np.nan), dtype=dtype, device=device
    )
    used = np.unique(np.clip(alpha_index, 0, None))
    for start in range(0, n_alphas, how.alphas):
        group = range(start, min(start + how.alphas, n_alphas))
        if not np.isin(used, group).any():
            continue
        operators = make_operators(form, lams, group, False, dtype, device)
        # Voxels without an alpha go along with the first group.
        for block in slices(n_voxels, how.voxels):
            index = np.clip(alpha_index[block], 0, None)
            mine = np.flatnonzero((index >= group.start) & (index < group.stop))
            if not len(mine):
                continue
            y, valid = reader.read(block)
            chosen = np.where(valid & (alpha_index[block] >= 0), alpha_index[block] - group.start, -1)[mine]
            inputs = form.inputs(y[torch.as_tensor(mine, device=device)])
            oof = torch.zeros(len(mine), len(times), dtype=dtype, device=device)
            for f, rows in enumerate(held):
                oof[:, rows] += predict_chosen(inputs.fold(f).x, list(operators.folds[f]), chosen)
            oof *= weight
            test = predict_chosen(inputs.test, operators.test, chosen)
            yield Prediction(
                mine + block.start,
                oof.cpu().numpy().astype(np.float32, copy=False),
                test.cpu().numpy().astype(np.float32, copy=False),
            )


def weights(problem: RidgeProblem, alpha_index: np.ndarray, voxels: slice = slice(None)) -> np.ndarray:
    """Ridge weights of some voxels, from all training TRs.

    Args:
        alpha_index: (v,) of those voxels; -1: NaN.

    Returns:
        (v, delays, d) float32.
    """
    form = make_form(problem, plan(problem).form)
    device, dtype = find_device(problem.device), DTYPES[problem.precision]
    y, valid = Reader(problem.y_train, problem.precision, device).read(voxels)
    lams = problem.absolute_alphas() ** 2
    x = torch.as_tensor(problem.x_train, device=device).to(dtype)
    delayed = delayed_rows(
        x, problem.train_lengths, problem.delays, torch.arange(len(x), device=device)
    )  # (n, p)
    out = torch.full((len(y), delayed.shape[1]), torch.nan, dtype=dtype, device=device)
    chosen = np.where(valid, alpha_index, -1)
    for a in np.unique(chosen[chosen >= 0]):
        rows = torch.as_tensor(np.flatnonzero(chosen == a), device=device)
        if isinstance(form, Dual):
            out[rows] = (y[rows] @ inverse(form.k, lams[a], torch.float64).to(dtype)) @ delayed
        else:
            shrunk = form.inputs(y[rows]).test * (form.scale / (form.values + lams[a])).to(dtype)
            out[rows] = shrunk @ form.vectors.T.to(dtype)
    return out.cpu().numpy().astype(np.float32).reshape(len(y), len(problem.delays), -1)
