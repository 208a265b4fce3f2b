"""Fit and score cells of the study: model x layer x subject x n_train, the draws of each inside."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxscale.encoding.cells import (
    FITTING,
    cell_paths,
    held_features,
    held_responses,
    remove_untrue,
    write_index,
)
from voxscale.encoding.data import CellData, Features, plan_in_memory
from voxscale.encoding.folds import join_folds, keep_fold
from voxscale.encoding.moments import write_moments
from voxscale.errors import UserError
from voxscale.io import (
    add_array,
    attributes,
    new_hdf5,
    open_hdf5,
    read_json,
    read_whole,
    set_attributes,
    tables,
)
from voxscale.overlap import finish_behind, prepare_ahead
from voxscale.progress import bar
from voxscale.provenance import writing
from voxscale.ridge import Block, RidgeProblem, find_device, solve_ridge
from voxscale.statistics import (
    FEWEST_BLOCKS,
    TimeBlocks,
    block_sums,
    blocks_of,
    correlations,
    one_block_later,
    permutation_p,
)

PER_VOXEL = ("r", "r_uncut", "r_ceiling", "cv_r", "alpha", "alpha_edge", "p")  # of table `scores`
_SLOW = 0.04  # mean of `one_block_later` from which p <= 0.05 for 6 to 8 % of voxels without signal


def test_blocks(data: CellData) -> TimeBlocks:
    """Blocks of a cell's test TRs."""
    return blocks_of(data.test_lengths, data.settings["block_trs"], data.skip, len(data.folds) > 1)


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

    def observed(voxels: slice) -> np.ndarray:
        return problem.y_train.test(data.test, voxels, data.settings["zscore_test"])

    return score_blocks(data, observed, solve_ridge(problem), f"draw {draw}") | size_of(problem)


def fit_folds(data: CellData, draw: int, scratch: Path) -> dict[str, np.ndarray]:
    """Fit each fold of a draw and score all together; gives what `fit_draw` does.

    Args:
        scratch: folder in which finished folds are kept.
    """
    paths = [
        scratch / f"draw-{draw}-fold-{fold}-{data.fold_key(draw, fold)}.h5" for fold in range(len(data.folds))
    ]
    for fold, path in enumerate(paths):
        if not _is_kept(path):
            keep_fold(data, draw, fold, path)
    observed, blocks, size = join_folds(data, paths)
    return score_blocks(data, observed, blocks, f"draw {draw}") | size


def size_of(problem: RidgeProblem) -> dict[str, np.ndarray]:
    """What `fit_draw` says of the size of a fit."""
    return {"train_trs": np.array(len(problem.x_train)), "n_features": np.array(problem.n_features)}


def score_blocks(
    data: CellData, observed: Callable[[slice], np.ndarray], fitted: Iterable[Block], name: str
) -> dict[str, np.ndarray]:
    """Score blocks of voxels as they are fitted; gives what `fit_draw` does but for the size of the fit.

    Args:
        observed: gives the test responses (v, m) of some voxels, scaled as the config says.
    """
    settings, lengths, n_voxels = data.settings, list(data.test_lengths.values()), data.responses.n_voxels
    cut, blocks = (settings["block_trs"], data.skip), test_blocks(data)
    scored = blocks.kept(data.skip)
    subsets = {"r": scored, "r_uncut": np.ones_like(scored)}
    of_ceiling = settings.get("ceiling_stories", data.responses.ceiling_stories)
    subsets["r_ceiling"] = scored & np.isin(blocks.story, of_ceiling)
    found = {column: np.full(n_voxels, np.nan, np.float32) for column in PER_VOXEL}
    found["alpha_edge"] = np.zeros(n_voxels, np.int8)
    found["moments"] = np.full((len(blocks.n), 5, n_voxels), np.nan, np.float32)
    later = np.full(n_voxels, np.nan)
    progress = bar(range(n_voxels), name, unit="voxel")

    def score(block: Block) -> None:
        voxels, predicted = block.voxels, block.test_prediction
        y = observed(voxels)
        sums = block_sums(predicted, y, blocks)
        found["moments"][:, :, voxels] = sums
        for column, kept in subsets.items():
            found[column][voxels] = correlations(sums[kept], blocks.take(kept))[0]
        found["cv_r"][voxels], found["alpha"][voxels] = block.cv_r, block.alpha
        found["alpha_edge"][voxels] = block.edge
        found["p"][voxels] = permutation_p(
            predicted, y, lengths, *cut, settings["permutations"], settings["seed"], blocks.inflation
        )
        later[voxels] = one_block_later(predicted, y, lengths, *cut)
        progress.update(voxels.stop - voxels.start)

    with progress:
        finish_behind(fitted, score)
    if settings["permutations"] and np.isfinite(found["r"]).any() and not np.isfinite(found["p"]).any():
        print(
            f"WARNING {data.cell['subject']}: its test stories have fewer than {FEWEST_BLOCKS} whole blocks "
            f"of {cut[0]} TRs after the skipped seconds, so no score has a p: take longer or more test "
            "stories",
            file=sys.stderr,
        )
    if np.isfinite(later).any() and np.nanmean(later) > _SLOW:
        print(
            f"WARNING {data.cell['subject']}: predictions and responses vary so slowly that blocks of "
            f"{cut[0]} TRs are not independent, so p and intervals are too small: detrend the responses, or "
            "raise scoring.block_trs",
            file=sys.stderr,
        )
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


def fit_cell(
    data: CellData, scores_out: str | Path, moments_out: str | Path, settings: str | None = None
) -> None:
    """Fit every draw of a cell and write its table `scores` and its moments, which keep its key.

    A finished draw is kept next to the moments until the cell is done: a killed fit continues with its next
    draw, or with its next fold.

    Args:
        settings: digest of what the cell is fitted with, which its files keep, too.

    Raises:
        UserError: anything wrong with the files or the settings, in one line.
    """
    draws, scratch = range(data.cell["n_draws"]), Path(f"{moments_out}.draws")
    kept = {draw: scratch / f"draw-{draw}-{data.key(draw)}.h5" for draw in draws}
    left = [draw for draw, path in kept.items() if not _is_kept(path)]
    data.share_kernel(left)
    for draw in left:
        found = fit_draw(data, draw) if len(data.folds) == 1 else fit_folds(data, draw, scratch)
        with new_hdf5(kept[draw]) as file:
            for name, values in found.items():
                if values.ndim:
                    add_array(file, name, values)
                else:
                    set_attributes(file, {name: values})
        for fold in scratch.glob(f"draw-{draw}-fold-*"):
            fold.unlink(missing_ok=True)
    try:
        with writing(key=data.cell_key, settings=settings):
            blocks = test_blocks(data)
            moments = (_read(path)["moments"] for path in kept.values())
            write_moments(moments_out, moments, len(kept), blocks, data.responses.voxels, data.provenance)
            rows = [score_rows(data, data.cell, draw, _read(path)) for draw, path in kept.items()]
            tables.write("scores", pa.concat_tables(rows), scores_out, data.provenance)
    except (FileNotFoundError, UserError):
        # Another job fits the same cell: SLURM gave up its node, but it lived on. It was done first.
        if not all(_is_whole(Path(path), data.cell_key) for path in (moments_out, scores_out)):
            raise
    shutil.rmtree(scratch, ignore_errors=True)


def fit_batch(
    features: str | Path,
    responses: str | Path,
    subject_table: str | Path,
    responses_digest: str | Path,
    cells: Sequence[Mapping[str, Any]],
    cell_settings: Sequence[str],
    settings: Mapping[str, Any],
    index: str | Path,
) -> None:
    """Fit cells of one model and one subject one after the other, and write the index that names them.

    A cell whose files are there, whole and with its key, is not fitted again: a killed job continues with its
    next cell. While the cells of a layer are fitted, the features of the next one are read; responses are
    read once; both if there is room for them.

    Args:
        features, responses, subject_table: as for `CellData`.
        responses_digest: `results/subjects/<subject>-responses.json`.
        cells: model, layer, subject, n_train, n_draws of each.
        cell_settings: digest of what each is fitted with.
        index: `results/fits/<batch>.json`.

    Raises:
        UserError: as for `fit_cell`, with layer and n_train of the cell.
    """
    first = CellData(features, responses, subject_table, cells[0], settings, read_json(responses_digest))
    keys = [first.of_cell(cell).cell_key for cell in cells]
    named_cells = list(zip(cells, keys, strict=True))
    remove_untrue(index, named_cells)
    files = [cell_paths(index, cell) for cell in cells]
    left: dict[int, list[int]] = {}  # layer -> its cells that are not there yet
    for i, (cell, key) in enumerate(named_cells):
        if not all(_is_whole(path, key) for path in files[i].values()):
            left.setdefault(cell["layer"], []).append(i)
    ahead, begun, n_left = bool(left) and _share(first, cells), 0, sum(map(len, left.values()))

    def read(layer: int) -> Features | None:
        mine = [first.of_cell(cells[i]) for i in left[layer]]
        stories = dict.fromkeys(story for data in mine for story in data.all_stories)
        return mine[0].features.hold(list(stories)) if ahead else None

    for layer, held in prepare_ahead(left, read):
        for i in left[layer]:
            begun, data = begun + 1, first.of_cell(cells[i])
            data.features = held or data.features
            named = f"layer {layer} n_train {cells[i]['n_train']}"
            sys.stderr.write(f"\r{FITTING}{named}: {begun} of {n_left}\n")  # on a terminal like a bar
            try:
                fit_cell(data, *files[i].values(), cell_settings[i])
            except UserError as error:
                raise UserError(f"{error} ({named})") from error.__cause__
    write_index(index, named_cells)


def _share(data: CellData, cells: Sequence[Mapping[str, Any]]) -> bool:
    """Let the cells share responses in memory, if there is room, and count what they share.

    Returns:
        whether there is room for features of two layers, too.
    """
    trs = sum(data.lengths(list(dict.fromkeys([*data.training, *data.test]))))
    memory_gb = data.settings["memory_gb"]
    n_layers = len({cell["layer"] for cell in cells})
    width = data.features.read(data.test[0]).shape[1] if n_layers > 1 else 0
    n_fits = sum(cell["n_draws"] for cell in cells) * len(data.folds)
    on_card = find_device(data.settings["device"]).type == "cuda"
    if responses := held_responses(data.responses.n_voxels, trs, n_fits, memory_gb, on_card):
        data.responses.hold()
    features = held_features(width, trs, n_layers, memory_gb)
    data.shared_bytes = responses + features
    return features > 0


def _is_whole(path: Path, key: str) -> bool:
    """Whether a cell's file is there, with this key; one that is damaged is named, and made again."""
    try:
        return os.path.lexists(path) and read_whole(path).get("key") == key
    except UserError as error:
        print(f"WARNING {str(error).rpartition(';')[0]}; this cell is fitted again", file=sys.stderr)
        return False


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
