"""What the dual and the primal form of one fit share, and how a block of voxels is correlated.

A form turns responses into inputs and gives, per alpha, operators on them: predictions = inputs · operatorᵀ.
Fold operators are centred over the held-out rows, so a score needs only one product and one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch

from voxscale.ridge.card import halves_product, left_halves, multiplies_halves, right_halves

FEW_RUNS = 256  # columns in more runs than these are gathered one by one


class Columns:
    """TRs to pick from voxel-major responses. Whole stories are runs, and copied much faster than single TRs.

    Args:
        rows: ascending.
    """

    def __init__(self, rows: np.ndarray, device: torch.device) -> None:
        self.index = torch.as_tensor(rows, device=device)
        starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
        self.runs = [slice(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, starts[1:])]

    def __len__(self) -> int:
        return len(self.index)

    def of(self, y: torch.Tensor) -> torch.Tensor:
        """(v, rows) of (v, n)."""
        if len(self.runs) > FEW_RUNS:
            return y.index_select(1, self.index)
        return torch.cat([y[:, run] for run in self.runs], 1)


class FoldInputs(NamedTuple):
    """What one fold needs of a block of voxels.

    Attributes:
        x: (v, q) what the fold's operators (rows, q) apply to.
        y: (v, rows) held-out responses, centred, in the operators' rows.
        length: (v,) Euclidean length of the centred held-out responses.
    """

    x: torch.Tensor
    y: torch.Tensor
    length: torch.Tensor


class BlockInputs(Protocol):
    """A block of voxels, as a form wants it."""

    def fold(self, f: int) -> FoldInputs: ...

    def low(self, f: int, dtype: torch.dtype) -> FoldInputs:
        """The same with x in low precision, see `lower`."""
        ...

    @property
    def test(self) -> torch.Tensor:
        """(v, q) what test operators apply to."""
        ...


class Form(Protocol):
    """One training set, everything but the responses.

    Attributes:
        shapes: (rows, q) of the operators of each fold.
        test_shape: (test TRs, q).
        top: largest eigenvalue of the kernel, to a few percent.
    """

    top: float
    shapes: Sequence[tuple[int, int]]
    test_shape: tuple[int, int]

    def operators(self, lam: float, out: Sequence[torch.Tensor]) -> torch.Tensor:
        """Write each fold's operator at penalty λ into `out`, (rows, q) each; give the test operator."""
        ...

    def inputs(self, y: torch.Tensor) -> BlockInputs:
        """Responses (v, n) of a block, without NaN."""
        ...


def lower(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Rows in another dtype; in int8 as 127ths of the row's largest value: correlations ignore the unit."""
    if dtype == torch.int8:
        return (x * (127 / x.abs().amax(1, keepdim=True).clamp_min(1e-30))).round_().to(torch.int8)
    return x.to(dtype)


def correlate(inputs: FoldInputs, operators: torch.Tensor) -> torch.Tensor:
    """(v, k) held-out correlations of a block in one fold, under the operators (k, rows, q) of k alphas."""
    scores = inputs.x.new_empty(len(inputs.x), len(operators))
    # An alpha at a time into one buffer: predictions stay in the cache until they are summed up.
    predicted = inputs.x.new_empty(len(inputs.x), operators.shape[1])
    halves = left_halves(inputs.x) if multiplies_halves(inputs.x) else None
    for k, operator in enumerate(operators):
        if halves is None:
            torch.mm(inputs.x, operator.T, out=predicted)
        else:
            halves_product(halves, right_halves(operator), predicted)
        length = torch.linalg.vector_norm(predicted, dim=1)
        scores[:, k] = ratio(predicted.mul_(inputs.y).sum(1), length, inputs.length)
    return scores


def ratio(product: torch.Tensor, predicted: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Correlation from a product and two lengths, elementwise; 0 where a length is 0."""
    length = predicted * observed
    return torch.where(length > 0, product / length, torch.zeros_like(length))
