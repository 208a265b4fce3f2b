"""Out-of-fold predictions, test predictions and weights at alphas that are already chosen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from voxscale.ridge.dual import Dual, inverse
from voxscale.ridge.kernel import delayed_products
from voxscale.ridge.operators import make_operators
from voxscale.ridge.problem import Prediction, RidgeProblem, Weights
from voxscale.ridge.solver import DTYPES, Reader, make_form, plan_ridge, predict_chosen, slices


def predict_ridge(problem: RidgeProblem, alpha_index: np.ndarray) -> Iterator[Prediction]:
    """Predict each training TR from the folds that hold it out, and the test set from all training TRs.

    Unlike for scores, predictions keep their mean. A TR that several folds hold out has the mean of theirs.

    Args:
        alpha_index: (voxels,) index into the grid, -1: no prediction (NaN).

    Yields:
        predictions of some voxels; each voxel comes once. In order if all alphas fit into the memory.
    """
    how = plan_ridge(problem, False)
    device, dtype = how.device, DTYPES[problem.arithmetic]
    form = make_form(problem, how, centred=False)
    reader = Reader(problem.y_train, problem.arithmetic, device)
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
        operators = make_operators(form, lams, group, None, dtype, device)
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


def solve_weights(problem: RidgeProblem, alpha_index: np.ndarray) -> Iterator[Weights]:
    """Ridge weights from all training TRs, the finite impulse response of every feature.

    Args:
        alpha_index: (voxels,) index into the grid, -1: no weights.

    Yields:
        weights of some voxels, which have one alpha; voxels without weights never come.
    """
    how = plan_ridge(problem)
    device, dtype = how.device, DTYPES[problem.arithmetic]
    form = make_form(problem, how)
    reader = Reader(problem.y_train, problem.arithmetic, device)
    lams = problem.absolute_alphas() ** 2
    x = torch.as_tensor(problem.x_train, device=device).to(dtype)
    # As much memory for a block's weights as scoring has for a block's responses.
    step = max(1, min(how.voxels, how.voxels * len(x) // problem.n_features))
    for a in np.unique(alpha_index[alpha_index >= 0]):
        g = inverse(form.k, lams[a], torch.float64, device).to(dtype) if isinstance(form, Dual) else None
        for block in slices(problem.y_train.shape[0], step):
            mine = np.flatnonzero(alpha_index[block] == a)
            if not len(mine):
                continue
            y, valid = reader.read(block)
            mine = mine[valid[mine]]
            rows = y[torch.as_tensor(mine, device=device)]
            if g is not None:
                found = delayed_products(rows @ g, x, problem.train_lengths, problem.delays)
            else:
                shrunk = form.inputs(rows).test * (form.scale / (form.values + lams[a])).to(dtype)
                found = (shrunk @ form.vectors.T.to(dtype)).unflatten(1, (len(problem.delays), -1))
            yield Weights(mine + block.start, found.cpu().numpy())
