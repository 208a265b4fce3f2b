"""The primal form, p < n: one eigendecomposition of the Gram matrix per fold serves every alpha.

Held-out rows enter the scores only through centred X_h = Q R, so with h > p they shrink to the p rows of R.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from voxscale.ridge.forms import Columns, FoldInputs, lower
from voxscale.ridge.kernel import ROWS, delayed_rows, lagged_gram
from voxscale.ridge.problem import Fold

NOTHING = 1e-12  # of the largest eigenvalue: no larger ones come from rounding


class Primal:
    """Primal form of one training set.

    Responses are projected not on the features but on their principal components, each scaled to length 1.
    In float32 a projection on raw features keeps only what is large along the strong components, and the weak
    ones are what a small penalty magnifies.

    Args:
        x: (n, d) undelayed training features.
        x_test: (m, d) undelayed test features.
        dtype: of the operators.
        centred: whether predictions are centred over the held-out rows, as scores want them; without, every
            held-out row has a prediction of its own.
    """

    def __init__(
        self,
        x: torch.Tensor,
        lengths: Sequence[int],
        x_test: torch.Tensor,
        test_lengths: Sequence[int],
        delays: Sequence[int],
        folds: Sequence[Fold],
        dtype: torch.dtype,
        centred: bool = True,
    ) -> None:
        n, p = len(x), x.shape[1] * len(delays)
        x = x.to(torch.float64)
        self.dtype, self.centred = dtype, centred
        self.held = [Columns(fold.held, x.device) for fold in folds]
        gram = lagged_gram(x, lengths, delays)
        self.values, self.vectors = torch.linalg.eigh(gram)
        self.values.clamp_min_(0)
        self.top = float(self.values[-1])
        # A component that rounding alone makes up stays as short as it is.
        self.scale = self.values.clamp_min(self.top * 1e-14 + 1e-300).sqrt()  # (p,)
        covered = torch.cat([held.index for held in self.held])
        # Where each row is held out once, products of the folds add up to those of all rows.
        partition = len(covered) == n and len(torch.unique(covered)) == n
        rows_of = partial(delayed_rows, x, lengths, delays)
        self.x = None if partition else self._components(rows_of, torch.arange(n, device=x.device))
        self._folds = [
            self._fold(rows_of(held.index), self._components(rows_of, held.index), gram) for held in self.held
        ]
        rows = torch.arange(len(x_test), device=x.device)
        self._test = delayed_rows(x_test.to(x), test_lengths, delays, rows) @ self.vectors  # (m, p)
        self.shapes = [(len(fold["held_vectors"]), p) for fold in self._folds]
        self.test_shape = (len(x_test), p)

    def _components(
        self, rows_of: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor
    ) -> torch.Tensor:
        """(rows, p) delayed rows on the scaled principal components."""
        scaled = self.vectors / self.scale
        return torch.cat([(rows_of(part) @ scaled).to(self.dtype) for part in rows.split(ROWS)])

    def _fold(
        self, x_held: torch.Tensor, components: torch.Tensor, gram: torch.Tensor
    ) -> dict[str, torch.Tensor | None]:
        values, vectors = torch.linalg.eigh(gram - x_held.T @ x_held)
        q, r = None, x_held
        if self.centred:
            r = x_held - x_held.mean(0)
            if len(x_held) > x_held.shape[1]:
                q, r = torch.linalg.qr(r)
        return {
            "x": components,  # (h, p)
            "q": None if q is None else q.to(self.dtype),  # (h, p)
            "values": values.clamp_min(0),
            # From the components of all rows to the fold's own principal axes.
            "vectors": (vectors.T @ (self.vectors * self.scale)).to(self.dtype),  # (p, p)
            "held_vectors": r @ vectors,  # (rows, p) float64
        }

    def operators(self, lam: float, out: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `Form`."""
        for fold, target in zip(self._folds, out, strict=True):
            # Along an axis in which a fold's training rows do not vary, what float32 leaves of the responses
            # is rounding, and a small λ would magnify it.
            varies = fold["values"] > NOTHING * self.top
            scaled = fold["held_vectors"] * (varies / (fold["values"] + lam))
            torch.mm(scaled.to(self.dtype), fold["vectors"], out=target)
        return (self._test * (self.scale / (self.values + lam))).to(self.dtype)

    def inputs(self, y: torch.Tensor) -> PrimalInputs:
        """See `Form`."""
        return PrimalInputs(self, y)


class PrimalInputs:
    """A block of voxels for the primal form: its projections on the principal components."""

    def __init__(self, form: Primal, y: torch.Tensor) -> None:
        self._form = form
        self._held = [held.of(y) for held in form.held]
        self._products = [held @ fold["x"] for held, fold in zip(self._held, form._folds, strict=True)]
        self._total = sum(self._products) if form.x is None else y @ form.x

    @property
    def test(self) -> torch.Tensor:
        """(v, p)."""
        return self._total

    def fold(self, f: int) -> FoldInputs:
        """See `FoldInputs`; x are the products over the fold's training rows."""
        y = self._held[f] - self._held[f].mean(1, keepdim=True)
        q = self._form._folds[f]["q"]
        length = torch.linalg.vector_norm(y, dim=1)
        return FoldInputs(self._total - self._products[f], y if q is None else y @ q, length)

    def low(self, f: int, dtype: torch.dtype) -> FoldInputs:
        """See `BlockInputs`."""
        inputs = self.fold(f)
        return inputs._replace(x=lower(inputs.x, dtype))
