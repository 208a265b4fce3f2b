"""Outer cross-validation: what each fold of a draw predicts is kept, and all folds are scored together.

A voxel has one score over all test TRs. The predictions of a fold are brought to one variance first: folds
choose alphas of their own, and so differ in how much they shrink. Without it the mean score of noise is below
0, too: whenever the stories agree by chance, all folds predict more than usual, and so count for more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from voxscale.encoding.data import CellData, plan_in_memory, scaled_test
from voxscale.io import checked, new_hdf5, open_hdf5, set_attributes
from voxscale.progress import bar
from voxscale.ridge import Block, solve_ridge
from voxscale.statistics import standard_rows
from voxscale.timeseries import PooledScale

_PER_VOXEL = ("cv_r", "alpha", "edge", "mean", "deviation")


def keep_fold(data: CellData, draw: int, fold: int, path: Path) -> None:
    """Fit one fold of a draw, and keep what it predicts of its test stories.

    The file has `prediction` (voxels, test TRs), of variance 1; of each voxel cv_r, alpha and edge, see
    `voxscale.ridge.Block`, and mean and deviation of its training responses; `train_trs` and `n_features`.
    """
    problem, lengths = data.problem(draw, fold), data.lengths(data.folds[fold])
    plan_in_memory(problem)
    n_voxels, trs = data.responses.n_voxels, sum(lengths)
    with new_hdf5(path) as file, bar(range(n_voxels), f"draw {draw} fold {fold}", unit="voxel") as progress:
        prediction = file.create_dataset("prediction", **checked((n_voxels, trs), (64, trs)))
        found = {name: np.full(n_voxels, np.nan) for name in _PER_VOXEL}
        for block in solve_ridge(problem):
            voxels, known = block.voxels, problem.y_train.scale(block.voxels)
            prediction[voxels] = standard_rows(block.test_prediction, lengths, data.skip)
            for name, values in zip(
                _PER_VOXEL, (block.cv_r, block.alpha, block.edge, known.mean, known.deviation), strict=True
            ):
                found[name][voxels] = values
            progress.update(voxels.stop - voxels.start)
        for name, values in found.items():
            file[name] = values
        set_attributes(file, {"train_trs": len(problem.x_train), "n_features": problem.n_features})


def join_folds(
    data: CellData, paths: Sequence[Path], step: int = 1024
) -> tuple[Callable[[slice], np.ndarray], Iterator[Block], dict[str, np.ndarray]]:
    """The folds of a draw as one fit: its test responses, its blocks of voxels, and its size.

    Of the folds cv_r is the mean, alpha the geometric mean, and edge that of more than half of them;
    train_trs is the mean, too.

    Args:
        paths: what `keep_fold` wrote, of each fold.
        step: voxels in memory at a time.
    """
    each, sizes = [], []
    for path in paths:
        with open_hdf5(path) as file:
            each.append({name: file[name][:] for name in _PER_VOXEL})
            sizes.append([int(file.attrs[name]) for name in ("train_trs", "n_features")])
    of = {name: np.stack([fold[name] for fold in each]) for name in _PER_VOXEL}  # (folds, voxels)
    edge = np.nansum(of["edge"], 0)
    edge = np.where(2 * np.abs(edge) > len(paths), np.sign(edge), 0).astype(np.int8)

    def observed(voxels: slice) -> np.ndarray:
        scales = zip(of["mean"][:, voxels], of["deviation"][:, voxels], strict=True)
        how = data.settings["zscore_test"]
        parts = [
            scaled_test(data.responses, test, voxels, how, PooledScale(*known))
            for test, known in zip(data.folds, scales, strict=True)
        ]
        return np.concatenate(parts, 1)

    def blocks() -> Iterator[Block]:
        n_voxels = data.responses.n_voxels
        for start in range(0, n_voxels, step):
            part = slice(start, min(start + step, n_voxels))
            predicted = []
            for path in paths:
                with open_hdf5(path) as file:
                    predicted.append(file["prediction"][part])
            alpha, cv_r = of["alpha"][:, part], of["cv_r"][:, part].mean(0).astype(np.float32)
            valid = np.isfinite(alpha).all(0)
            index = np.full(len(valid), -1)  # a mean of alphas is not on the grid
            alphas = np.exp(np.log(alpha).mean(0))
            yield Block(part, valid, index, alphas, cv_r, edge[part], np.concatenate(predicted, 1))

    train_trs, n_features = zip(*sizes, strict=True)
    size = {"train_trs": np.array(round(np.mean(train_trs))), "n_features": np.array(n_features[0])}
    return observed, blocks(), size
