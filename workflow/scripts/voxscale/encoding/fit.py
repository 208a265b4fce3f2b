"""Fit and score one cell of the study: model x layer x subject x n_train, its draws inside."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.encoding.data import CellData, plan_in_memory
from voxscale.encoding.moments import write_moments
from voxscale.errors import UserError
from voxscale.io import add_array, attributes, new_hdf5, open_hdf5, set_attributes, tables
from voxscale.overlap import finish_behind
from voxscale.progress import bar
from voxscale.ridge import Block, RidgeProblem, solve_ridge
from voxscale.statistics import block_sums, blocks_of, correlations, one_block_later, permutation_p

PER_VOXEL = ("r", "r_uncut", "r_ceiling", "cv_r", "alpha", "alpha_edge", "p")  # of table `scores`
_SLOW = 0.04  # mean of `one_block_later` from which p <= 0.05 for 6 to 8 % of voxels without signal


def scored_rows(lengths: Sequence[int], skip: int) -> np.ndarray:
    """(m,) bool: test TRs behind the first `skip` of their story."""
    return np.concatenate([np.arange(length) >= skip for length in lengths])


def fit_draw(data: CellData, draw: int) -> dict[str, np.ndarray]:
    """Fit and score one draw.

    Returns:
        the columns of `PER_VOXEL`, (voxels,) each; `moments` (blocks, 5, voxels) float32; `train_trs` and
        `n_features`.
    """
    problem = data.problem(draw)
    plan_in_memory(problem)
    return score_blocks(data, problem, solve_ridge(problem), f"draw {draw}")


def score_blocks(
    data: CellData, problem: RidgeProblem, fitted: Iterable[Block], name: str
) -> dict[str, np.ndarray]:
    """Score blocks of voxels as they are fitted; gives what `fit_draw` does."""
    settings, lengths, n_voxels = data.settings, list(data.test_lengths.values()), data.responses.n_voxels
    cut = settings["block_trs"], data.skip
    blocks = blocks_of(data.test_lengths, *cut)
    scored = blocks.kept(data.skip)
    subsets = {"r": scored, "r_uncut": np.ones_like(scored)}
    subsets["r_ceiling"] = scored & np.isin(blocks.story, data.responses.ceiling_stories)
    found = {column: np.full(n_voxels, np.nan, np.float32) for column in PER_VOXEL}
    found["alpha_edge"] = np.zeros(n_voxels, np.int8)
    found["moments"] = np.full((len(blocks.n), 5, n_voxels), np.nan, np.float32)
    later = np.full(n_voxels, np.nan)
    progress = bar(range(n_voxels), name, unit="voxel")

    def score(block: Block) -> None:
        voxels, predicted = block.voxels, block.test_prediction
        y = problem.y_train.test(data.test, voxels, settings["zscore_test"])
        sums = block_sums(predicted, y, blocks)
        found["moments"][:, :, voxels] = sums
        for column, kept in subsets.items():
            found[column][voxels] = correlations(sums[kept], blocks.take(kept))[0]
        found["cv_r"][voxels], found["alpha"][voxels] = block.cv_r, block.alpha
        found["alpha_edge"][voxels] = block.edge
        found["p"][voxels] = permutation_p(
            predicted, y, lengths, *cut, settings["permutations"], settings["seed"]
        )
        later[voxels] = one_block_later(predicted, y, lengths, *cut)
        progress.update(voxels.stop - voxels.start)

    with progress:
        finish_behind(fitted, score)
    if np.isfinite(later).any() and np.nanmean(later) > _SLOW:
        print(
            f"WARNING {data.cell['subject']}: predictions and responses vary so slowly that blocks of "
            f"{cut[0]} TRs are not independent, so p and intervals are too small: detrend the responses, or "
            "raise scoring.block_trs",
            file=sys.stderr,
        )
    found["train_trs"], found["n_features"] = np.array(len(problem.x_train)), np.array(problem.n_features)
    return found


def score_rows(
    data: CellData, named: Mapping[str, Any], draw: int, found: Mapping[str, np.ndarray]
) -> pa.Table:
    """Rows of table `scores` for what `score_blocks` found, under the model, layer, ... of `named`."""
    trs = int(found["train_trs"])
    same = {name: named[name] for name in ("model", "layer", "subject", "n_train")}
    same |= {"draw": draw, "train_trs": trs, "train_hours": trs * data.settings["tr_s"] / 3600}
    same |= {"n_features": int(found["n_features"])}
    columns = {name: pa.repeat(value, data.responses.n_voxels) for name, value in same.items()}
    columns |= {name: pa.array(found[name]) for name in PER_VOXEL}
    return pa.table({**columns, "voxel": pa.array(data.responses.voxels)})


def fit_cell(data: CellData, scores_out: str | Path, moments_out: str | Path, scratch: str | Path) -> None:
    """Fit every draw of a cell and write its table `scores` and its moments.

    A finished draw is kept under `scratch` until the cell is done: a killed fit continues with its next draw.

    Raises:
        UserError: anything wrong with the files or the settings, in one line.
    """
    draws = range(data.cell["n_draws"])
    kept = {draw: Path(scratch) / f"draw-{draw}-{data.key(draw)}.h5" for draw in draws}
    left = [draw for draw, path in kept.items() if not _is_kept(path)]
    data.share_kernel(left)
    for draw in left:
        found = fit_draw(data, draw)
        with new_hdf5(kept[draw]) as file:
            for name, values in found.items():
                if values.ndim:
                    add_array(file, name, values)
                else:
                    set_attributes(file, {name: values})
    try:
        blocks = blocks_of(data.test_lengths, data.settings["block_trs"], data.skip)
        moments = (_read(path)["moments"] for path in kept.values())
        write_moments(moments_out, moments, len(kept), blocks, data.responses.voxels, data.provenance)
        rows = [score_rows(data, data.cell, draw, _read(path)) for draw, path in kept.items()]
        tables.write("scores", pa.concat_tables(rows), scores_out, data.provenance)
    except (FileNotFoundError, UserError):
        # Another job fits the same cell: SLURM gave up its node, but it lived on. It was done first.
        if not (Path(moments_out).exists() and Path(scores_out).exists()):
            raise
    shutil.rmtree(scratch, ignore_errors=True)


def _read(path: Path, remedy: str = "run again") -> dict[str, Any]:
    with open_hdf5(path, remedy) as file:
        return {**attributes(file), **{name: values[...] for name, values in file.items()}}


def _is_kept(path: Path) -> bool:
    """Whether a draw is there; one that is damaged is named, and fitted again."""
    if not os.path.lexists(path):
        return False
    try:
        _read(path, "this draw is fitted again")
    except UserError as error:
        print(f"WARNING {error}", file=sys.stderr)
        return False
    return True
