"""All alphas in cheap arithmetic, the close ones again in full precision: the same answer for less work.

Cheap in two ways. Predictions at neighbouring alphas are nearly combinations of each other, so those of a few
basis operators replace those of all alphas. And products are in bfloat16, which keeps 8 bits, with sums in
float32. A screened correlation is off by some 1e-3.

How far off it can be depends on the data (small held-out sets most of all), so each fit measures it: some
voxels are scored fully in both. What matters is how the difference between two alphas of one voxel is off,
and the closer the alphas the less it is; so there is a margin for each distance on the grid, twice the
largest difference seen. Every score computed again afterwards checks its margin, which grows when one
escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from voxscale.ridge.forms import FoldInputs, ratio

CALIBRATION = 512  # voxels
SAFETY = 2.0
TOLERANCE = 2e-4  # of the basis, well below bfloat16's own error
PIECE = 1 << 20  # elements combined at once
CPU_VOXELS = 512  # whose predictions stay in the cache of a CPU


class Low(NamedTuple):
    """Basis operators of one fold.

    Attributes:
        operators: (r, rows, q) bfloat16.
        mix: (r, k) how they make up those of k alphas.
    """

    operators: torch.Tensor
    mix: torch.Tensor


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


def compress(folds: Sequence[torch.Tensor], lams: Sequence[float], top: float) -> list[Low]:
    """Basis operators of each fold from its operators (k, rows, q) at k alphas."""
    make, mix = basis(lams, top)
    low = []
    for operators in folds:
        k, rows, q = operators.shape
        flat = operators.view(k, rows * q)
        make, mix = make.to(flat), mix.to(flat)
        out = torch.empty(len(make), rows * q, dtype=torch.bfloat16, device=flat.device)
        for start in range(0, rows * q, PIECE):
            out[:, start : start + PIECE] = make @ flat[:, start : start + PIECE]
        low.append(Low(out.view(-1, rows, q), mix))
    return low


def correlate_low(inputs: FoldInputs, low: Low) -> torch.Tensor:
    """As `correlate`, with basis operators: (v, k)."""
    r, rows, q = low.operators.shape
    operators = low.operators.view(r * rows, q).T
    x = inputs.x.to(torch.bfloat16)
    scores = torch.empty(len(x), low.mix.shape[1], dtype=inputs.y.dtype, device=x.device)
    step = CPU_VOXELS if x.device.type == "cpu" else max(len(x), 1)
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        z = (x[part] @ operators).view(-1, r, rows).to(inputs.y.dtype)
        product = torch.bmm(z, inputs.y[part, :, None])[:, :, 0] @ low.mix
        gram = torch.bmm(z, z.transpose(1, 2))  # (v, r, r)
        square = ((gram @ low.mix) * low.mix).sum(1)
        scores[part] = ratio(product, square.clamp_min(0).sqrt(), inputs.length[part, None])
    return scores


class Margin:
    """How far below the best screened score the true best can be, by the distance of their alphas.

    Args:
        n_alphas: on the grid.
    """

    def __init__(self, n_alphas: int) -> None:
        grid = torch.arange(n_alphas)
        self.distance = (grid[:, None] - grid).abs()
        self.largest = torch.zeros(n_alphas)

    def width(self, best: torch.Tensor) -> torch.Tensor:
        """(v, A) margin of each alpha of voxels whose `best` (v,) alphas by the screen are given."""
        return SAFETY * self.largest.to(best.device)[self.distance.to(best.device)[best]]

    def see(self, low: torch.Tensor, exact: torch.Tensor) -> bool:
        """Take note of screened and exact scores (v, A), -inf where unknown; whether all are inside."""
        best = low.argmax(1)
        error = low - exact
        error = (error - error.gather(1, best[:, None])).abs()
        error[torch.isinf(exact)] = 0
        inside = bool((error <= self.width(best)).all())
        distance = self.distance.to(best.device)[best]
        found = torch.zeros(len(self.largest), dtype=error.dtype, device=error.device)
        found.scatter_reduce_(0, distance.flatten(), error.flatten(), "amax")
        # What is true of close alphas holds for distant ones at least.
        found = torch.cummax(found, 0).values.cpu()
        self.largest = torch.maximum(self.largest, found.to(self.largest.dtype))
        return inside


def certify(
    low: torch.Tensor, margin: Margin, exact: Callable[[torch.Tensor, torch.Tensor], None]
) -> torch.Tensor:
    """Exact scores wherever they can matter.

    Args:
        low: (v, A) screened scores.
        exact: called with wanted (v, A) bool and scores (v, A), it fills in the exact scores of the wanted.

    Returns:
        (v, A): exact scores, -inf where an alpha is certainly not the best.
    """
    scores = torch.full_like(low, -torch.inf)
    top, best = low.max(1)
    while True:
        wanted = (low >= top[:, None] - margin.width(best)) & torch.isinf(scores)
        if not wanted.any():
            return scores
        exact(wanted, scores)
        if margin.see(low, scores):
            return scores
