"""All alphas in cheap arithmetic, the close ones again in full precision: the same answer for less work.

Cheap in two ways. Predictions at neighbouring alphas are nearly combinations of each other, so those of a few
basis operators replace those of all alphas. And products are in 8-bit integers with 32-bit sums, each voxel
and each row of an operator in units of a 127th of its largest value; or, on GPUs and where the CPU has no
units for these, in bfloat16 with sums in float32. Where there is neither, the first way alone saves a third.
A screened correlation is off by some 1e-3.

How far off it can be depends on the data (small held-out sets most of all), so each fit measures it: some
voxels are scored fully in both. What matters is how the difference between two alphas of one voxel is off,
and the closer the alphas the less it is; so there is a margin for each distance on the grid, twice the
largest difference seen. It is in units of the voxel's own rounding: a voxel with a spike has larger ones.
Every score computed again afterwards checks its margin, which grows when one escapes it, for the block at
hand and those that follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from voxscale.ridge.forms import FoldInputs, lower, ratio

CALIBRATION = 512  # voxels
SAFETY = 2.0
TOLERANCE = 1e-3  # of the basis, of the order of the rounding's own error
PIECE = 1 << 18  # elements combined at once, small enough for the cache of a CPU
CARD_PIECE = 1 << 22
CPU_VOXELS = 512  # whose predictions stay in the cache of a CPU


class Low(NamedTuple):
    """Basis operators of one fold.

    Attributes:
        operators: (r, rows, q) int8, bfloat16 or float32.
        unit: (r, rows) of the operators' rows.
        mix: (r, k) how they make up those of k alphas.
    """

    operators: torch.Tensor
    unit: torch.Tensor
    mix: torch.Tensor


class Screened(NamedTuple):
    """What the screen finds of a block.

    Attributes:
        scores: (v, k) held-out correlations; NaN of responses that vary in no fold.
        rounding: (v,) size of the voxel's rounding errors, in units that all voxels share.
    """

    scores: torch.Tensor
    rounding: torch.Tensor


def low_dtype(device: torch.device) -> torch.dtype:
    """Cheapest numbers whose products the device has units for."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    units = torch.cpu.get_capabilities()
    if units.get("avx512_vnni") or units.get("amx_int8"):
        return torch.int8
    return torch.bfloat16 if units.get("avx512_bf16") or units.get("amx_bf16") else torch.float32


def basis(lams: Sequence[float], top: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A few filters of which those of all alphas are combinations, s/(s + λ) over eigenvalues s.

    Args:
        lams: λ of k alphas.
        top: largest eigenvalue.

    Returns:
        make (r, k): basis operators from those of the alphas; mix (r, k): back again.
    """
    s = torch.logspace(-8, 0, 400, dtype=torch.float64)[:, None] * top
    filters = s / (s + torch.as_tensor(lams, dtype=torch.float64))  # (400, k)
    length = torch.linalg.vector_norm(filters, dim=0)
    _, size, v = torch.linalg.svd(filters / length, full_matrices=False)
    keep = size > TOLERANCE * size[0]
    size, v = size[keep, None], v[keep]
    return v / size / length, v * size * length


def compress(
    folds: Sequence[torch.Tensor], lams: Sequence[float], top: float, dtype: torch.dtype
) -> list[Low]:
    """Basis operators of each fold from its operators (k, rows, q) at k alphas."""
    make, mix = basis(lams, top)
    low = []
    for operators in folds:
        k, rows, q = operators.shape
        make, mix = make.to(operators), mix.to(operators)
        out = torch.empty(len(make), rows, q, dtype=dtype, device=operators.device)
        unit = torch.ones(len(make), rows, dtype=operators.dtype, device=operators.device)
        step = max(1, (CARD_PIECE if operators.is_cuda else PIECE) // q)
        for start in range(0, rows, step):
            part = slice(start, start + step)
            made = (make @ operators[:, part].reshape(k, -1)).view(len(make), -1, q)
            if dtype == torch.int8:
                unit[:, part] = made.abs().amax(2) / 127
            out[:, part] = lower(made.view(-1, q), dtype).view(made.shape)
        low.append(Low(out, unit, mix))
    return low


def correlate_low(inputs: FoldInputs, low: Low) -> torch.Tensor:
    """As `correlate`, with basis operators and x lowered as they are: (v, k)."""
    r, rows, q = low.operators.shape
    operators = low.operators.view(r * rows, q).T
    multiply = torch._int_mm if operators.dtype == torch.int8 else torch.mm
    x = inputs.x
    scores = torch.empty(len(x), low.mix.shape[1], dtype=inputs.y.dtype, device=x.device)
    step = CPU_VOXELS if x.device.type == "cpu" else max(len(x), 1)
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        z = multiply(x[part], operators).view(-1, r, rows)
        if z.dtype != low.unit.dtype:
            z = z * low.unit
        product = torch.bmm(z, inputs.y[part, :, None])[:, :, 0] @ low.mix
        gram = torch.bmm(z, z.transpose(1, 2))  # (v, r, r)
        square = ((gram @ low.mix) * low.mix).sum(1)
        scores[part] = ratio(product, square.clamp_min(0).sqrt(), inputs.length[part, None])
    return scores


def rounding(x: torch.Tensor) -> torch.Tensor:
    """(v,) size of the rounding errors of lowered rows, relative to the rows' own size."""
    if x.dtype != torch.int8:
        return torch.ones(len(x), device=x.device)
    # The largest value is 127 in all rows, so what rounding loses is as large in all, and the rows differ.
    length = torch.linalg.vector_norm(x.to(torch.float32), dim=1)
    return math.sqrt(x.shape[1]) / length.clamp_min(1)


class Margin:
    """How far below the best screened score the true best can be, by the distance of their alphas.

    Args:
        n_alphas: on the grid.
    """

    def __init__(self, n_alphas: int) -> None:
        grid = torch.arange(n_alphas)
        self.distance = (grid[:, None] - grid).abs()
        self.largest = torch.zeros(n_alphas)

    def width(self, low: Screened) -> torch.Tensor:
        """(v, A) margin of each alpha."""
        near = self.largest.to(low.scores.device)[self._distance(low)]
        return SAFETY * near * low.rounding[:, None].to(near)

    def see(self, low: Screened, exact: torch.Tensor) -> bool:
        """Take note of screened and exact scores (v, A), -inf where unknown; whether all are inside."""
        error = low.scores - exact
        error = (error - error.gather(1, low.scores.argmax(1, keepdim=True))).abs()
        error[torch.isinf(exact) | low.scores.isnan()] = 0
        inside = bool((error <= self.width(low)).all())
        error /= low.rounding[:, None].to(error)
        found = torch.zeros(len(self.largest), dtype=error.dtype, device=error.device)
        found.scatter_reduce_(0, self._distance(low).flatten(), error.flatten(), "amax")
        # What is true of close alphas holds for distant ones at least.
        found = torch.cummax(found, 0).values.cpu()
        self.largest = torch.maximum(self.largest, found.to(self.largest.dtype))
        return inside

    def _distance(self, low: Screened) -> torch.Tensor:
        """(v, A) of each alpha from the voxel's best by the screen."""
        return self.distance.to(low.scores.device)[low.scores.argmax(1)]


def certify(
    low: Screened, margin: Margin, exact: Callable[[torch.Tensor, torch.Tensor], None]
) -> torch.Tensor:
    """Exact scores where they can change the choice.

    Args:
        exact: called with wanted (v, A) bool and scores (v, A), it fills in the exact scores of the wanted.

    Returns:
        (v, A): exact scores, -inf where an alpha is certainly not the best.
    """
    scores = torch.full_like(low.scores, -torch.inf)
    scores[low.scores.isnan()] = 0  # as `ratio` has it
    top = low.scores.amax(1, keepdim=True)
    while True:
        wanted = (low.scores >= top - margin.width(low)) & torch.isinf(scores)
        if not wanted.any():
            return scores
        exact(wanted, scores)
        if margin.see(low, scores):
            return scores
