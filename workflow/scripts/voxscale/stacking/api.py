"""Stacking of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxscale.stacking.block import combine, error_gram
from voxscale.stacking.simplex import convex_weights


@dataclass(frozen=True)
class Stack:
    """A convex combination of models for each voxel.

    Attributes:
        weights: (voxels, models), 0 or more, with sum 1; NaN where a prediction or the response has NaN.
    """

    weights: np.ndarray

    def predict(self, predictions: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """The combination (TRs, voxels) of the models' predictions (models, TRs, voxels)."""
        return combine(self.weights, _voxel_major(predictions, self.weights.shape[::-1])).T


def _voxel_major(
    predictions: Sequence[np.ndarray] | np.ndarray, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """(models, voxels, TRs)."""
    stacked = np.stack([np.asarray(each) for each in predictions])
    if stacked.ndim != 3 or shape not in (None, (stacked.shape[0], stacked.shape[2])):
        wanted = "" if shape is None else f" of {shape[0]} models and {shape[1]} voxels"
        raise ValueError(f"predictions have shape {stacked.shape}; give (models, TRs, voxels){wanted}")
    return np.swapaxes(stacked, 1, 2)


def stack(predictions: Sequence[np.ndarray] | np.ndarray, responses: np.ndarray) -> Stack:
    """Find the convex combination of models with the least squared error, for each voxel.

    Args:
        predictions: (models, TRs, voxels) cross-validated predictions of the training TRs: of each TR by a
            model that was not fitted to it. Other predictions would favour the model that overfits most.
        responses: (TRs, voxels).

    Raises:
        ValueError: shapes do not fit.

    >>> random = np.random.default_rng(0)
    >>> good, bad = random.standard_normal((2, 200, 4))
    >>> stack([good, bad], good).weights.round(2)[0].tolist()
    [1.0, 0.0]
    """
    members, responses = _voxel_major(predictions), np.asarray(responses)
    if responses.shape != members.shape[:0:-1]:
        raise ValueError(
            f"responses have shape {responses.shape}, predictions {members.shape[:0:-1]} TRs and voxels"
        )
    return Stack(convex_weights(error_gram(members, responses.T)))
