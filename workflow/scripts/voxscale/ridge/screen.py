"""All alphas in bfloat16, the close ones again in full precision: the same answer for a fraction of the work.

bfloat16 keeps 8 bits, its products are summed in float32, and a correlation comes out within some 1e-3. How
far off it can be depends on the data (small held-out sets most of all), so each fit measures it: some voxels
are scored fully in both, and the margin is four times the largest difference, twice what safety asks. Every
score computed again afterwards checks the margin, which grows when one escapes it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from voxscale.ridge.forms import FoldInputs, ratio

CALIBRATION = 512  # voxels
SAFETY = 4.0
ROWS = 256  # voxels converted at once: stays in the cache


def correlate_low(inputs: FoldInputs, low: torch.Tensor) -> torch.Tensor:
    """As `correlate`, with bfloat16 operators (k, rows, q)."""
    k, rows, q = low.shape
    z = (inputs.x.to(torch.bfloat16) @ low.reshape(k * rows, q).T).view(-1, k, rows)
    scores = torch.empty(len(z), k, dtype=inputs.y.dtype, device=z.device)
    for start in range(0, len(z), ROWS):
        these = slice(start, start + ROWS)
        wide = z[these].to(inputs.y.dtype)
        product = torch.bmm(wide, inputs.y[these, :, None])[:, :, 0]
        scores[these] = ratio(product, torch.linalg.vector_norm(wide, dim=2), inputs.length[these])
    return scores


class Margin:
    """How far below the best screened score the true best can be."""

    def __init__(self) -> None:
        self.largest = 0.0

    def see(self, low: torch.Tensor, exact: torch.Tensor) -> bool:
        """Take note of screened and exact scores of the same pairs; whether they are within safe bounds."""
        error = float((low - exact).abs().max()) if low.numel() else 0.0
        escaped = error > self.width / 2
        self.largest = max(self.largest, error)
        return not escaped

    @property
    def width(self) -> float:
        """Alphas whose screened score is within this of the best must be scored exactly."""
        return SAFETY * self.largest


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
    done = torch.zeros_like(low, dtype=torch.bool)
    while True:
        wanted = (low >= low.max(1, keepdim=True).values - margin.width) & ~done
        if not wanted.any():
            return scores
        exact(wanted, scores)
        done |= wanted
        if margin.see(low[wanted], scores[wanted]):
            return scores
