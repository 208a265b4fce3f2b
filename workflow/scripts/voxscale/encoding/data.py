"""Features and responses of one cell, scaled as the config says, story by story; its ridge problems."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxscale.dataset import SubjectResponses, folds_of, open_subject, training_of
from voxscale.errors import UserError, naming
from voxscale.features import feature_files, read_features
from voxscale.io import tables
from voxscale.provenance import collect, hash_config
from voxscale.ridge import (
    RidgePlan,
    RidgeProblem,
    default_memory_gb,
    delayed_kernel,
    find_device,
    make_folds,
    plan_ridge,
)
from voxscale.statistics import skipped_trs
from voxscale.timeseries import PooledScale, join_scaled, zscore
from voxscale.versions import numbers

_MEANS = ("memory_gb", "device")  # settings that do not affect a fit's numbers


def read_roles(subject_table: Path) -> tuple[list[str], list[list[str]]]:
    """Training stories of a subject, and the test stories of each fold: of one, if they are fixed.

    Raises:
        UserError: a fold is trained on one of its test stories, or on its words and times under another name.
    """
    table = tables.read("subjects", subject_table)
    rows = table.select(["story", "role", "stimulus_sha"]).to_pylist()
    if twice := [
        row["story"] for i, row in enumerate(rows) if row["story"] in [r["story"] for r in rows[:i]]
    ]:
        raise UserError(f"{subject_table}: story {twice[0]} has two roles; take it out of one")
    sha = {row["story"]: row["stimulus_sha"] for row in rows}
    training, folds = folds_of({row["story"]: row["role"] for row in rows})
    for fold in folds:
        tested = {sha[story]: story for story in fold}
        for story in training_of(training, fold):
            if same := tested.get(sha[story]):
                raise UserError(
                    f"{subject_table}: training story {story} is test story {same}; take it out of one"
                )
    return training, folds


def draw_stories(training: Sequence[str], n_train: int, draw: int, seed: int) -> list[str]:
    """Training stories of one draw, in the dataset's order.

    A draw's smaller sets lie inside its larger ones, and are the same for every model.

    Raises:
        UserError: more stories are asked for than there are.
    """
    if n_train > len(training):
        raise UserError(
            f"config key sweeps: {n_train} training stories asked for, {len(training)} there; lower n_train"
        )
    order = np.random.default_rng([seed, draw]).permutation(len(training))
    return [training[i] for i in sorted(order[:n_train])]


def _scaled(parts: Sequence[np.ndarray], axis: int, known: PooledScale | None = None) -> np.ndarray:
    """Stories one after the other along `axis`, each scaled by itself or by what is known."""
    return np.concatenate([known.apply(x, axis) if known else zscore(x, axis) for x in parts], axis)


@dataclass(frozen=True)
class Features:
    """Features of one layer.

    Args:
        path: index of the model's features.
        layer: which layer.
        responses: whose TRs they must match.
        trim: clock TRs in front of and behind the responses.
        held: features of stories that are in memory.
    """

    path: Path
    layer: int
    responses: SubjectResponses
    trim: tuple[int, int]
    held: Mapping[str, np.ndarray] = field(default_factory=dict)

    def hold(self, stories: Sequence[str]) -> Features:
        """The same features, those of some stories in memory."""
        return replace(self, held={story: self.read(story) for story in stories})

    def read(self, story: str) -> np.ndarray:
        """(response TRs, d) float32, not scaled.

        Raises:
            UserError: there are not as many rows as response TRs; nothing is ever cut to fit.
        """
        if story in self.held:
            return self.held[story]
        x = read_features(self.path, story, self.layer)
        start, stop = self.trim
        rows, wanted = len(x) - start - stop, self.responses.n_trs(story)
        if rows != wanted:
            raise UserError(
                f"{self.path}: story {story} has {len(x)} rows of features, {rows} when trimmed by {start} "
                f"and {stop}, but {wanted} response TRs; correct dataset.trim or extract again"
            )
        return x[start : start + wanted]

    def training(self, stories: Sequence[str]) -> np.ndarray:
        """(n, d) float32, z-scored per story, so that the scaling does not depend on the other stories."""
        return _scaled([self.read(story) for story in stories], 0)

    def test(self, stories: Sequence[str], training: Sequence[str], zscore_test: str) -> np.ndarray:
        """(m, d) float32.

        Args:
            zscore_test: `story`: each by itself; `training`: with the statistics of the training stories.
        """
        # ASSUME: training stories are each scaled by themselves, but a test story must not be, or what it is
        # scaled by would hold its own future; the pooled statistics of training stand in.
        by_training = zscore_test == "training"
        known = PooledScale.of([self.read(story) for story in training], 0) if by_training else None
        return _scaled([self.read(story) for story in stories], 0, known)


class TrainingResponses:
    """Training responses (voxels, n), z-scored per story, read as they are sliced.

    Reading also notes the pooled statistics of each voxel, by which its test responses may be scaled.
    """

    def __init__(self, responses: SubjectResponses, stories: Sequence[str]) -> None:
        self._responses, self._stories = responses, list(stories)
        self.shape = responses.n_voxels, sum(responses.n_trs(story) for story in stories)
        self._mean, self._deviation = np.full((2, responses.n_voxels), np.nan)

    def __getitem__(self, voxels: slice) -> np.ndarray:
        joined, known = join_scaled([self._responses.read(story, voxels) for story in self._stories])
        self._mean[voxels], self._deviation[voxels] = known.mean, known.deviation
        return joined

    def scale(self, voxels: slice) -> PooledScale:
        """Pooled statistics of voxels whose training responses were read before."""
        return PooledScale(self._mean[voxels], self._deviation[voxels])

    def test(self, stories: Sequence[str], voxels: slice, zscore_test: str) -> np.ndarray:
        """Test responses (v, m) of voxels whose training responses were read before; see `Features.test`."""
        return scaled_test(self._responses, stories, voxels, zscore_test, self.scale(voxels))


def scaled_test(
    responses: SubjectResponses, stories: Sequence[str], voxels: slice, zscore_test: str, known: PooledScale
) -> np.ndarray:
    """Test responses (v, m); `known` are the statistics of the training stories, see `Features.test`."""
    parts = [responses.read(story, voxels) for story in stories]
    return _scaled(parts, 1, known if zscore_test == "training" else None)


def plan_in_memory(problem: RidgeProblem, centred: bool = True) -> RidgePlan:
    """As `plan_ridge`, with the config's key in front of what is wrong."""
    with naming("config key encoding.memory_gb"):
        return plan_ridge(problem, centred)


class CellData:
    """The data of one cell: where they are, and its ridge problems draw by draw.

    Args:
        features: index of the model's features.
        responses: `results/responses/<subject>.h5`.
        subject_table: table `subjects` of the subject.
        cell: model, layer, subject, n_train, n_draws.
        settings: the config's `encoding` and `scoring`, `tr_s` and `trim`; without `memory_gb`, the device's
            default.
        sources: content of `results/subjects/<subject>-responses.json`, for `key`.

    Attributes:
        training: training stories, of all folds.
        folds: test stories of each fold; one, if they are fixed.
        test: test stories of all folds.
        shared_bytes: what is in memory for several cells, in addition to this one's.

    Raises:
        UserError: anything wrong with the files, in one line that names the file or the story.
    """

    shared_bytes = 0.0

    def __init__(
        self,
        features: str | Path,
        responses: str | Path,
        subject_table: str | Path,
        cell: Mapping[str, Any],
        settings: Mapping[str, Any],
        sources: Mapping[str, Any] | None = None,
    ) -> None:
        self.cell, self.path, self.sources = cell, Path(features), sources or {}
        with naming("config key encoding.device"):
            on_card = find_device(settings["device"]).type == "cuda"
        memory_gb = settings["memory_gb"] or default_memory_gb(on_card)
        self.settings = {**settings, "memory_gb": memory_gb}
        self.responses: SubjectResponses = open_subject(responses)
        self.training, self.folds = read_roles(Path(subject_table))
        self.test = [story for fold in self.folds for story in fold]
        self.features = Features(self.path, cell["layer"], self.responses, tuple(settings["trim"]))
        self.test_lengths = {story: self.responses.n_trs(story) for story in self.test}
        self.skip = skipped_trs(settings)
        if sum(max(n - self.skip, 0) for n in self.test_lengths.values()) < 3:
            raise UserError(
                f"config key scoring.skip_s: {settings['skip_s']:g} s leave nothing of the test stories "
                "to score; lower it"
            )
        self.kernel: tuple[list[str], torch.Tensor] | None = None

    @classmethod
    def of(cls, inputs: Any, cell: Mapping[str, Any], settings: Mapping[str, Any]) -> CellData:
        """The data of a job's cell: its inputs are named `features`, `responses` and `subject`."""
        return cls(inputs.features, inputs.responses, inputs.subject, cell, settings)

    def of_cell(self, cell: Mapping[str, Any]) -> CellData:
        """The data of another cell of the same model and subject, which shares the responses in memory."""
        other = copy.copy(self)
        other.cell, other.kernel = cell, None
        other.features = replace(self.features, layer=cell["layer"], held={})
        return other

    @property
    def name(self) -> tuple[str, int, str, int]:
        """Model, layer, subject and n_train of the cell."""
        return self.cell["model"], self.cell["layer"], self.cell["subject"], self.cell["n_train"]

    @property
    def all_stories(self) -> list[str]:
        """Training stories of any draw, and test stories."""
        fits = [(draw, fold) for draw in range(self.cell["n_draws"]) for fold in range(len(self.folds))]
        return list(dict.fromkeys([*self._union(fits), *self.test]))

    def _union(self, fits: Sequence[tuple[int, int]]) -> list[str]:
        """Training stories of any of some fits, each a draw and a fold."""
        used = {story for draw, fold in fits for story in self.stories(draw, fold)}
        return sorted(used, key=self.training.index)

    def stories(self, draw: int, fold: int = 0) -> list[str]:
        """Training stories of a draw in a fold.

        Where folds differ by one story, each has all of its own at the largest n_train; where they differ by
        more, as folds named by the user may, each has n_train of them.
        """
        own = [training_of(self.training, held) for held in self.folds]
        least, most = min(map(len, own)), max(map(len, own))
        if self.cell["n_train"] == least and most - least <= 1:
            return own[fold]
        return draw_stories(own[fold], self.cell["n_train"], draw, self.settings["seed"])

    def lengths(self, stories: Sequence[str]) -> list[int]:
        """Response TRs of stories."""
        return [self.responses.n_trs(story) for story in stories]

    def problem(self, draw: int, fold: int = 0) -> RidgeProblem:
        """The ridge problem of a draw in a fold."""
        settings, stories, test = self.settings, self.stories(draw, fold), self.folds[fold]
        lengths, test_lengths = self.lengths(stories), self.lengths(test)
        with naming("config key encoding.folds"):
            folds = make_folds(lengths, settings["folds"], [settings["seed"], draw])
        if settings["delays_across_stories"]:
            # As published: the first rows of a story hold the end of the one stacked before it.
            lengths, test_lengths = [sum(lengths)], [sum(test_lengths)]
        grid = settings["alphas"]
        problem = {
            "x_train": self.features.training(stories),
            "train_lengths": lengths,
            "x_test": self.features.test(test, stories, settings["zscore_test"]),
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
        return (self.responses.n_voxels * (64 + 20 * blocks * 2) + self.shared_bytes) / 1e9

    def _shared(self, stories: Sequence[str]) -> dict[str, Any]:
        if self.kernel is None:
            return {}
        union, kernel = self.kernel
        starts = dict(zip(union, np.cumsum([0, *self.lengths(union)]), strict=False))
        rows = [np.arange(starts[story], starts[story] + self.responses.n_trs(story)) for story in stories]
        return {"kernel": kernel, "kernel_rows": np.concatenate(rows)}

    def share_kernel(self, draws: Sequence[int]) -> None:
        """Make one kernel for several fits, if that is less work than one each and fits into the memory.

        A story's features are scaled by themselves, so that no fit has anything of its test stories.
        """
        trs = {
            (draw, fold): sum(self.lengths(self.stories(draw, fold)))
            for draw in draws
            for fold in range(len(self.folds))
        }
        union = self._union(list(trs))
        n = sum(self.lengths(union))
        if len(trs) < 2 or self.settings["delays_across_stories"]:
            return
        if n**2 > sum(each**2 for each in trs.values()):
            return
        problem = self.problem(*max(trs, key=trs.__getitem__))
        how = plan_in_memory(problem)
        if how.card_bytes:
            room = torch.cuda.mem_get_info(how.device)[0] - how.card_bytes
        else:
            room = 1e9 * self.settings["memory_gb"] - how.bytes
        if how.form == "dual" and 8 * n * (n + len(problem.x_train)) < room:
            x = torch.as_tensor(self.features.training(union), device=how.device)
            self.kernel = union, delayed_kernel(x, self.lengths(union), self.settings["delays"])

    @cached_property
    def _feature_files(self) -> dict[str, str]:
        # A story's file is named after its content.
        return {story: path.name for story, path in feature_files(self.path).items()}

    def key(self, draw: int) -> str:
        """Digest of everything a draw's numbers depend on."""
        keys = [self.fold_key(draw, fold) for fold in range(len(self.folds))]
        return keys[0] if len(keys) == 1 else hash_config(keys)

    def fold_key(self, draw: int, fold: int) -> str:
        """Digest of everything the numbers of a draw in one fold depend on."""
        stories, test, responses = (
            self.stories(draw, fold),
            self.folds[fold],
            self.sources.get("responses", {}),
        )
        used, links = [*stories, *test], self._feature_files
        return hash_config(
            {
                "cell": self.name,
                "settings": {key: self.settings[key] for key in self.settings if key not in _MEANS},
                "training": stories,
                "test": test,
                "features": [links[story] for story in used if story in links],
                "responses": {**self.sources, "responses": [responses.get(story) for story in used]},
                "numbers": numbers("encoding"),
            }
        )

    @property
    def cell_key(self) -> str:
        """Digest of everything the cell's numbers depend on."""
        return hash_config([self.key(draw) for draw in range(self.cell["n_draws"])])

    @property
    def provenance(self) -> dict[str, Any]:
        """What files made of this cell say of how they were made."""
        return collect(cell=dict(self.cell), settings=dict(self.settings))
