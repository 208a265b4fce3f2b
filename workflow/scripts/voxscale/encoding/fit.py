"""Fit and score one cell of the study: model x layer x subject x n_train, its draws inside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from voxscale.dataset import SubjectResponses, open_subject
from voxscale.encoding.data import MEANS, Features, TrainingResponses, draw_stories, read_roles
from voxscale.errors import UserError, naming
from voxscale.features import feature_files
from voxscale.io import atomic, checked, tables
from voxscale.progress import bar
from voxscale.provenance import collect, hash_config
from voxscale.ridge import (
    Block,
    Kernel,
    RidgePlan,
    RidgeProblem,
    find_device,
    make_folds,
    plan_ridge,
    predict_ridge,
    solve_ridge,
    solve_weights,
)
from voxscale.statistics import block_sums, blocks_of, permutation_p, skipped_trs
from voxscale.versions import numbers

PER_VOXEL = ("r", "r_uncut", "cv_r", "alpha", "alpha_edge", "p")  # of table `scores`


class Cell:
    """One cell: where its data are, and its problems draw by draw.

    Args:
        features, responses, subject_table: files of the model and of the subject.
        cell: model, layer, subject, n_train, n_draws.
        settings: the config's `encoding` and `scoring`, `tr_s` and `trim`.

    Raises:
        UserError: anything wrong with the files, in one line that names the file or the story.
    """

    def __init__(
        self,
        features: Path,
        responses: Path,
        subject_table: Path,
        cell: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        self.cell, self.settings, self.path = cell, settings, Path(features)
        self.responses: SubjectResponses = open_subject(responses)
        self.training, self.test = read_roles(Path(subject_table))
        self.features = Features(self.path, cell["layer"], self.responses, tuple(settings["trim"]))
        self.test_lengths = {story: self.responses.n_trs(story) for story in self.test}
        self.skip = skipped_trs(settings)
        if sum(max(n - self.skip, 0) for n in self.test_lengths.values()) < 3:
            raise UserError(
                f"config key scoring.skip_s: {settings['skip_s']:g} s leave nothing of the test stories "
                "to score; lower it"
            )
        self.kernel: tuple[list[str], Kernel] | None = None

    def stories(self, draw: int) -> list[str]:
        """Training stories of a draw."""
        return draw_stories(self.training, self.cell["n_train"], draw, self.settings["seed"])

    def lengths(self, stories: Sequence[str]) -> list[int]:
        """Response TRs of stories."""
        return [self.responses.n_trs(story) for story in stories]

    def problem(self, draw: int) -> RidgeProblem:
        """The ridge problem of a draw."""
        settings, stories = self.settings, self.stories(draw)
        lengths, test_lengths = self.lengths(stories), list(self.test_lengths.values())
        with naming("config key encoding.folds"):
            folds = make_folds(lengths, settings["folds"], [settings["seed"], draw])
        with naming("config key encoding.device"):
            find_device(settings["device"])
        if settings["delays_across_stories"]:
            # As published: the first rows of a story hold the end of the one stacked before it.
            lengths, test_lengths = [sum(lengths)], [sum(test_lengths)]
        grid = settings["alphas"]
        problem = {
            "x_train": self.features.training(stories),
            "train_lengths": lengths,
            "x_test": self.features.test(self.test, stories, settings["zscore_test"]),
            "test_lengths": test_lengths,
            "y_train": TrainingResponses(self.responses, stories),
            "folds": folds,
            "alphas": np.logspace(grid["log10_min"], grid["log10_max"], grid["n"]),
            "alpha_scale": grid["scale"],
            **{key: settings[key] for key in ("delays", "form", "precision", "screen", "device")},
            "memory_gb": settings["memory_gb"] - self._own_gb(),
        }
        return RidgeProblem(**problem, **self._shared(stories))

    def _own_gb(self) -> float:
        """What scores and moments of all voxels take besides the fit."""
        blocks = sum(-(-n // self.settings["block_trs"]) for n in self.test_lengths.values())
        return self.responses.n_voxels * (64 + 20 * blocks * 2) / 1e9

    def _shared(self, stories: Sequence[str]) -> dict[str, Any]:
        if self.kernel is None:
            return {}
        union, kernel = self.kernel
        starts = dict(zip(union, np.cumsum([0, *self.lengths(union)]), strict=False))
        rows = [np.arange(starts[story], starts[story] + self.responses.n_trs(story)) for story in stories]
        return {"kernel": kernel, "kernel_rows": np.concatenate(rows)}

    def share_kernel(self, draws: Sequence[int]) -> None:
        """Make one kernel for several draws, if that is less work than one each and fits into the memory."""
        union = sorted({story for draw in draws for story in self.stories(draw)}, key=self.training.index)
        n = sum(self.lengths(union))
        if len(draws) < 2 or self.settings["delays_across_stories"]:
            return
        if n**2 > sum(sum(self.lengths(self.stories(draw))) ** 2 for draw in draws):
            return
        problem = self.problem(max(draws, key=lambda draw: sum(self.lengths(self.stories(draw)))))
        how = plan_in_memory(problem)
        room = self.settings["memory_gb"] - how.bytes / 1e9
        if how.form == "dual" and 8 * n * (n + len(problem.x_train)) / 1e9 < room:
            device = find_device(self.settings["device"])
            values = self.features.training(union)
            self.kernel = union, Kernel.of(values, self.lengths(union), self.settings["delays"], device)

    def key(self, draw: int) -> str:
        """Digest of everything a draw's numbers depend on."""
        stories = self.stories(draw)
        links = feature_files(self.path)
        about = self.responses.path.stat()
        return hash_config(
            {
                "cell": {name: self.cell[name] for name in ("model", "layer", "subject", "n_train")},
                "settings": {key: self.settings[key] for key in self.settings if key not in MEANS},
                "training": stories,
                "test": self.test,
                # A story's file is named after its content.
                "features": [links[story].name for story in [*stories, *self.test] if story in links],
                "responses": [about.st_size, about.st_mtime_ns],
                "numbers": numbers("encoding"),
            }
        )


def correlate(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Pearson r of each row, (v,) float64; NaN where one of the two does not vary or is NaN."""
    centred = [x.astype(np.float64) - x.mean(1, dtype=np.float64)[:, None] for x in (predicted, observed)]
    lengths = [np.sqrt((x**2).sum(1)) for x in centred]
    sizes = [np.abs(x).max(1, initial=0) for x in (predicted, observed)]
    with np.errstate(invalid="ignore", divide="ignore"):
        # A constant float32 series has a deviation of rounding size.
        varies = [length > 1e-6 * size for length, size in zip(lengths, sizes, strict=True)]
        r = (centred[0] * centred[1]).sum(1) / (lengths[0] * lengths[1])
        return np.where(varies[0] & varies[1], r, np.nan)


def scored_rows(lengths: Sequence[int], skip: int) -> np.ndarray:
    """(m,) bool: test TRs behind the first `skip` of their story."""
    return np.concatenate([np.arange(length) >= skip for length in lengths])


def plan_in_memory(problem: RidgeProblem, centred: bool = True) -> RidgePlan:
    """As `plan_ridge`, with the config's key in front of what is wrong."""
    with naming("config key encoding.memory_gb"):
        return plan_ridge(problem, centred)


def fit_draw(cell: Cell, draw: int) -> dict[str, np.ndarray]:
    """Fit and score one draw.

    Returns:
        the columns of `PER_VOXEL`, (voxels,) each; `moments` (blocks, 5, voxels) float32; `train_trs` and
        `n_features`.
    """
    problem = cell.problem(draw)
    plan_in_memory(problem)
    return score_blocks(cell, problem, solve_ridge(problem), f"draw {draw}")


def score_blocks(
    cell: Cell, problem: RidgeProblem, fitted: Iterable[Block], name: str
) -> dict[str, np.ndarray]:
    """Score blocks of voxels as they are fitted; gives what `fit_draw` does."""
    settings, lengths = cell.settings, list(cell.test_lengths.values())
    blocks = blocks_of(cell.test_lengths, settings["block_trs"], cell.skip)
    n_voxels = cell.responses.n_voxels
    found = {name: np.full(n_voxels, np.nan, np.float32) for name in PER_VOXEL}
    found["alpha_edge"] = np.zeros(n_voxels, np.int8)
    found["moments"] = np.full((len(blocks.n), 5, n_voxels), np.nan, np.float32)
    rows = scored_rows(lengths, cell.skip)
    with bar(range(n_voxels), name, unit="voxel") as progress:
        for block in fitted:
            voxels = block.voxels
            y = problem.y_train.test(cell.test, voxels, settings["zscore_test"])
            predicted = block.test_prediction
            found["r"][voxels] = correlate(predicted[:, rows], y[:, rows])
            found["r_uncut"][voxels] = correlate(predicted, y)
            found["cv_r"][voxels], found["alpha"][voxels] = block.cv_r, block.alpha
            found["alpha_edge"][voxels] = block.edge
            found["p"][voxels] = permutation_p(
                predicted,
                y,
                lengths,
                settings["block_trs"],
                cell.skip,
                settings["permutations"],
                settings["seed"],
            )
            found["moments"][:, :, voxels] = block_sums(predicted, y, blocks)
            progress.update(voxels.stop - voxels.start)
    found["train_trs"], found["n_features"] = np.array(len(problem.x_train)), np.array(problem.n_features)
    return found


def fit_cell(
    features: str | Path,
    responses: str | Path,
    subject_table: str | Path,
    scores_out: str | Path,
    moments_out: str | Path,
    scratch: str | Path,
    cell: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Fit every draw of a cell and write its table `scores` and its moments.

    A finished draw is kept under `scratch` until the cell is done: a killed fit goes on at its next draw.

    Args:
        cell: model, layer, subject, n_train, n_draws.
        settings: the config's `encoding` and `scoring`, `tr_s` and `trim`.

    Raises:
        UserError: anything wrong with the files or the settings, in one line.
    """
    this = Cell(Path(features), Path(responses), Path(subject_table), cell, settings)
    scratch = Path(scratch)
    paths = {draw: scratch / f"draw-{draw}-{this.key(draw)}.npz" for draw in range(cell["n_draws"])}
    left = [draw for draw, path in paths.items() if not path.exists()]
    this.share_kernel(left)
    for draw in left:
        found = fit_draw(this, draw)
        with atomic(paths[draw]) as temporary:
            np.savez(temporary, **found)
    provenance = collect(cell=dict(cell), settings=dict(settings))
    try:
        _write_moments(this, paths, Path(moments_out), provenance)
        _write_scores(this, paths, Path(scores_out), provenance)
    except FileNotFoundError:
        # Another job fits the same cell: SLURM gave up its node, but it lived on. It was done first.
        if not (Path(moments_out).exists() and Path(scores_out).exists()):
            raise
    shutil.rmtree(scratch, ignore_errors=True)


def _write_scores(cell: Cell, draws: Mapping[int, Path], path: Path, provenance: Mapping[str, Any]) -> None:
    parts = []
    for draw, file in draws.items():
        with np.load(file) as found:
            parts.append(score_rows(cell, cell.cell, draw, found))
    tables.write("scores", pa.concat_tables(parts), path, provenance)


def score_rows(cell: Cell, named: Mapping[str, Any], draw: int, found: Mapping[str, np.ndarray]) -> pa.Table:
    """Rows of table `scores` for what `score_blocks` found, under the model, layer, ... of `named`."""
    trs = int(found["train_trs"])
    same = {name: named[name] for name in ("model", "layer", "subject", "n_train")}
    same |= {"draw": draw, "train_trs": trs, "train_hours": trs * cell.settings["tr_s"] / 3600}
    same |= {"n_features": int(found["n_features"])}
    columns = {name: pa.repeat(value, cell.responses.n_voxels) for name, value in same.items()}
    columns |= {name: pa.array(found[name]) for name in PER_VOXEL}
    return pa.table({**columns, "voxel": pa.array(cell.responses.voxels)})


def _write_moments(cell: Cell, draws: Mapping[int, Path], path: Path, provenance: Mapping[str, Any]) -> None:
    blocks = blocks_of(cell.test_lengths, cell.settings["block_trs"], cell.skip)
    shape = len(draws), len(blocks.n), 5, cell.responses.n_voxels
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        moments = file.create_dataset("moments", **checked(shape, (1, len(blocks.n), 5, 4096)))
        for i, draw in enumerate(draws.values()):
            with np.load(draw) as found:
                moments[i] = found["moments"]
        file["n"], file["start_tr"] = blocks.n, blocks.start_tr
        file.create_dataset("story", data=blocks.story.tolist(), dtype=h5py.string_dtype())
        file["voxel"] = cell.responses.voxels
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)


def predict_cell(
    features: str | Path,
    responses: str | Path,
    subject_table: str | Path,
    scores: str | Path,
    predictions_out: str | Path,
    cell: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Write the predictions of a cell's first draw at the alphas its fit chose.

    The file holds `oof` (voxels, training TRs), each TR predicted by the folds that hold it out, and `test`
    (voxels, test TRs), float32, in units of z-scored responses; `voxel`; and the stories and their TRs in the
    order of the columns (`train_story`, `train_trs`, `test_story`, `test_trs`).

    Raises:
        UserError: anything wrong with the files, or scores of other voxels or another grid of alphas.
    """
    this = Cell(Path(features), Path(responses), Path(subject_table), cell, settings)
    problem, n_voxels = this.problem(0), this.responses.n_voxels
    plan_in_memory(problem, centred=False)
    chosen = _chosen(scores, this.responses.voxels, problem.absolute_alphas())
    stories = this.stories(0)
    with atomic(predictions_out) as temporary, h5py.File(temporary, "w") as file:
        oof = file.create_dataset("oof", (n_voxels, len(problem.x_train)), np.float32)
        test = file.create_dataset("test", (n_voxels, len(problem.x_test)), np.float32)
        with bar(range(n_voxels), "predict", unit="voxel") as progress:
            for part in predict_ridge(problem, chosen):
                oof[part.voxels], test[part.voxels] = part.oof, part.test
                progress.update(len(part.voxels))
        file["voxel"] = this.responses.voxels
        for role, names in (("train", stories), ("test", this.test)):
            file.create_dataset(f"{role}_story", data=names, dtype=h5py.string_dtype())
            file[f"{role}_trs"] = this.lengths(names)
        provenance = collect(cell=dict(cell), settings=dict(settings))
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)


def weigh_cell(
    features: str | Path,
    responses: str | Path,
    subject_table: str | Path,
    scores: str | Path,
    weights_out: str | Path,
    cell: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Write the ridge weights of a cell's first draw at the alphas its fit chose.

    The file holds `weights` (voxels, delays, features) float32, from features z-scored per story to responses
    z-scored per story, NaN for voxels without a fit; `voxel` and `delay` (TRs).

    Raises:
        UserError: anything wrong with the files, or scores of other voxels or another grid of alphas.
    """
    this = Cell(Path(features), Path(responses), Path(subject_table), cell, settings)
    problem, n_voxels = this.problem(0), this.responses.n_voxels
    plan_in_memory(problem)
    chosen = _chosen(scores, this.responses.voxels, problem.absolute_alphas())
    shape = n_voxels, len(problem.delays), problem.x_train.shape[1]
    with atomic(weights_out) as temporary, h5py.File(temporary, "w") as file:
        table = file.create_dataset("weights", **checked(shape, (1, *shape[1:])), fillvalue=np.nan)
        with bar(range(n_voxels), "weigh", unit="voxel") as progress:
            for part in solve_weights(problem, chosen):
                table[part.voxels] = part.values
                progress.update(len(part.voxels))
        file["voxel"], file["delay"] = this.responses.voxels, np.array(problem.delays)
        provenance = collect(cell=dict(cell), settings=dict(settings))
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)


def _chosen(scores: str | Path, voxels: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """(voxels,) index into the grid of each voxel's alpha; -1 where it has none."""
    table = tables.read("scores", scores, ["draw", "voxel", "alpha"]).to_pydict()
    first = np.array(table["draw"]) == 0
    alpha = np.array(table["alpha"], np.float64)[first]
    if not np.array_equal(np.array(table["voxel"])[first], voxels):
        raise UserError(f"{scores}: has other voxels than the responses; fit the cell again")
    known = np.isfinite(alpha)
    index = np.abs(np.log(np.where(known, alpha, 1.0))[:, None] - np.log(alphas)).argmin(1)
    if not np.allclose(alphas[index][known], alpha[known], rtol=1e-4):
        raise UserError(f"{scores}: was fitted with another grid of alphas; fit the cell again")
    return np.where(known, index, -1)
