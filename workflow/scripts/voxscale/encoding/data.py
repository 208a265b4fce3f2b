"""Features and responses of one cell, scaled as the config says, story by story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset import SubjectResponses
from voxscale.errors import UserError
from voxscale.features import read_features
from voxscale.io import tables
from voxscale.timeseries import PooledScale, zscore

MEANS = ("memory_gb", "device")  # by which a fit is made; they change none


def with_means(settings: Mapping[str, Any], resources: Any) -> dict[str, Any]:
    """Settings of a fit and what it may use, which is among its rule's resources.

    As parameters they would make finished fits run again.
    """
    return {**settings, "memory_gb": float(resources.memory_gb), "device": str(resources.device)}


def read_roles(subject_table: Path) -> tuple[list[str], list[str]]:
    """Training and test stories of a subject.

    Raises:
        UserError: a story, or the same words and times under another name, is in both.
    """
    table = tables.read("subjects", subject_table)
    rows = table.select(["story", "role", "stimulus_sha"]).to_pylist()
    tested = {
        key: row["story"]
        for row in rows
        if row["role"] == "test"
        for key in (row["story"], row["stimulus_sha"])
    }
    for row in rows:
        for key in (row["story"], row["stimulus_sha"]):
            if row["role"] == "train" and key in tested:
                raise UserError(
                    f"{subject_table}: training story {row['story']} is test story {tested[key]}; "
                    "take it out of one"
                )
    by_role = {role: [row["story"] for row in rows if row["role"] == role] for role in ("train", "test")}
    return by_role["train"], by_role["test"]


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


@dataclass(frozen=True)
class Features:
    """Features of one layer.

    Args:
        path: index of the model's features.
        layer: which layer.
        responses: whose TRs they must match.
        trim: clock TRs in front of and behind the responses.
    """

    path: Path
    layer: int
    responses: SubjectResponses
    trim: tuple[int, int]

    def read(self, story: str) -> np.ndarray:
        """(response TRs, d) float32, not scaled.

        Raises:
            UserError: there are not as many rows as response TRs; nothing is ever cut to fit.
        """
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
        return np.concatenate([zscore(self.read(story)) for story in stories])

    def test(self, stories: Sequence[str], training: Sequence[str], zscore_test: str) -> np.ndarray:
        """(m, d) float32.

        Args:
            zscore_test: `story`: each by itself; `training`: with the statistics of the training stories.
        """
        parts = [self.read(story) for story in stories]
        if zscore_test == "story":
            return np.concatenate([zscore(part) for part in parts])
        # ASSUME: training stories are each scaled by themselves, but a test story must not be, or what it is
        # scaled by would hold its own future; the pooled statistics of training stand in.
        known = PooledScale.of([self.read(story) for story in training], 0)
        return np.concatenate([known.apply(part, 0) for part in parts])


class TrainingResponses:
    """Training responses (voxels, n), z-scored per story, read as they are sliced.

    Reading also notes the pooled statistics of each voxel, by which its test responses may be scaled.
    """

    def __init__(self, responses: SubjectResponses, stories: Sequence[str]) -> None:
        self._responses, self._stories = responses, list(stories)
        self.shape = responses.n_voxels, sum(responses.n_trs(story) for story in stories)
        self._mean, self._deviation = np.full((2, responses.n_voxels), np.nan)

    def __getitem__(self, voxels: slice) -> np.ndarray:
        parts = [self._responses.read(story, voxels) for story in self._stories]
        known = PooledScale.of(parts, 1)
        self._mean[voxels], self._deviation[voxels] = known.mean, known.deviation
        return np.concatenate([zscore(part, 1) for part in parts], 1)

    def test(self, stories: Sequence[str], voxels: slice, zscore_test: str) -> np.ndarray:
        """Test responses (v, m) of voxels whose training responses were read before; see `Features.test`."""
        parts = [self._responses.read(story, voxels) for story in stories]
        if zscore_test == "story":
            return np.concatenate([zscore(part, 1) for part in parts], 1)
        known = PooledScale(self._mean[voxels], self._deviation[voxels])
        return np.concatenate([known.apply(part, 1) for part in parts], 1)
