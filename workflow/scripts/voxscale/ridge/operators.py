"""Operators of a group of alphas, and the held-out scores of a block of voxels under them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from voxscale.ridge.forms import BlockInputs, FoldInputs, Form, correlate
from voxscale.ridge.screen import Low, Screened, compress, correlate_low, rounding


class Operators(NamedTuple):
    """Operators of some alphas.

    Attributes:
        alphas: which, as a range of the grid.
        folds: (k, rows, q) of each fold.
        low: each fold's basis operators, if screened.
        test: (test TRs, q) of each alpha.
    """

    alphas: range
    folds: list[torch.Tensor]
    low: list[Low]
    test: list[torch.Tensor]


def make_operators(
    form: Form,
    lams: Sequence[float],
    alphas: range,
    low: torch.dtype | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Operators:
    """Operators of a group of alphas; λ of the whole grid are given. With `low` also those of the screen."""
    folds = [torch.empty(len(alphas), *shape, dtype=dtype, device=device) for shape in form.shapes]
    test = [form.operators(lams[a], [fold[k] for fold in folds]) for k, a in enumerate(alphas)]
    chosen = [lams[a] for a in alphas]
    return Operators(alphas, folds, compress(folds, chosen, form.top, low) if low else [], test)


def plain_scores(operators: Operators, inputs: BlockInputs) -> torch.Tensor:
    """(v, k) mean held-out correlations of a block."""
    folds = operators.folds
    return sum(correlate(inputs.fold(f), fold) for f, fold in enumerate(folds)) / len(folds)


def low_scores(operators: Operators, inputs: BlockInputs) -> Screened:
    """The same, screened."""
    scores, worst, length = [], [], []
    for f, low in enumerate(operators.low):
        fold = inputs.low(f, low.operators.dtype)
        scores.append(correlate_low(fold, low))
        worst.append(rounding(fold.x))
        length.append(fold.length)
    mean = sum(scores) / len(scores)
    mean[torch.stack(length).amax(0) == 0] = torch.nan
    return Screened(mean, torch.stack(worst).amax(0))


def exact_scores(
    operators: Operators, inputs: BlockInputs, wanted: torch.Tensor, scores: torch.Tensor
) -> None:
    """Fill `scores` (v, k) with `plain_scores` where `wanted` (v, k)."""
    voxels = [torch.nonzero(column).squeeze(1) for column in wanted.T]
    totals = [torch.zeros(len(chosen), dtype=scores.dtype, device=scores.device) for chosen in voxels]
    for f, fold in enumerate(operators.folds):
        whole = inputs.fold(f)
        for k, chosen in enumerate(voxels):
            if len(chosen):
                part = FoldInputs(*(tensor.index_select(0, chosen) for tensor in whole))
                totals[k] += correlate(part, fold[k : k + 1])[:, 0]
    for k, chosen in enumerate(voxels):
        scores[chosen, k] = totals[k] / len(operators.folds)
