"""The dual form, p ≥ n: one factorisation of the kernel per alpha serves every fold and the test set.

With G = (K + λI)⁻¹, the predictions of held-out rows h from the others t are −(G_hh)⁻¹ G_ht y_t, which equals
K_ht (K_tt + λI)⁻¹ y_t exactly, for any sets of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from voxscale.ridge.card import has_fast_float64, invert
from voxscale.ridge.forms import Columns, FoldInputs, lower
from voxscale.ridge.problem import Fold

# Factorised in float32 only where λ is at least this share of the largest eigenvalue: scores are then within
# 1e-6 (n = 600) or closer (larger n) of float64, and ten times as far off with each decade below. With few
# rows, and on cards made for float64, it costs next to nothing, and few held-out rows forgive less.
FLOAT32_FROM = 5e-3
FLOAT32_ROWS = 1000


def largest_eigenvalue(k: torch.Tensor) -> float:
    """Largest eigenvalue of a positive matrix, by power iteration; a lower bound, good to a few percent."""
    v = torch.ones(len(k), dtype=k.dtype, device=k.device)
    v += torch.arange(len(k), device=k.device) % 7
    for _ in range(12):
        v = k @ (v / torch.linalg.vector_norm(v).clamp_min(1e-300))
    return float(torch.linalg.vector_norm(v))


def inverse_of(a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse of a symmetric positive matrix, in its place, and a number above 0 if it is not positive."""
    if a.is_cuda:
        failed = invert(a)
        return a, failed
    factor, failed = torch.linalg.cholesky_ex(a)
    return torch.cholesky_inverse(factor, out=a), failed


def inverse(k: torch.Tensor, lam: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(K + λI)⁻¹ in `dtype`, on a device; K may be on the host."""
    c = torch.empty(k.shape, dtype=dtype, device=device).copy_(k)
    c.diagonal().add_(lam)
    c, failed = inverse_of(c)
    if int(failed) == 0:
        return c
    del c
    # λ below the rounding of K: its negative eigenvalues are rounding too.
    values, vectors = torch.linalg.eigh(k.to(device, torch.float64))
    return ((vectors / (values.clamp_min(0) + lam)) @ vectors.T).to(dtype)


class Dual:
    """Dual form of one training set.

    Args:
        k: (n, n) float64 delayed kernel.
        k_test: (m, n) float64 delayed kernel between test and training rows.
        dtype: of the operators.
        centred: whether predictions are centred over the held-out rows, as scores want them.
        on_host: whether K is kept in the host's memory, from where each alpha copies it to a GPU.
    """

    def __init__(
        self,
        k: torch.Tensor,
        k_test: torch.Tensor,
        folds: Sequence[Fold],
        dtype: torch.dtype,
        centred: bool = True,
        on_host: bool = False,
    ) -> None:
        self.k, self.k_test, self.dtype, self.centred = k.cpu() if on_host else k, k_test, dtype, centred
        self.train = [Columns(fold.train, k.device) for fold in folds]
        self.held = [Columns(fold.held, k.device) for fold in folds]
        self.shapes = [(len(fold.held), len(fold.train)) for fold in folds]
        self.test_shape = tuple(k_test.shape)
        self.top = largest_eigenvalue(k)
        may_be_single = dtype == torch.float32 and len(k) >= FLOAT32_ROWS
        self.single_from = FLOAT32_FROM * self.top if may_be_single else torch.inf
        if k.is_cuda and has_fast_float64(k.device):
            self.single_from = torch.inf

    def operators(self, lam: float, out: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `Form`."""
        precision = torch.float32 if lam >= self.single_from else torch.float64
        g = inverse(self.k, lam, precision, self.k_test.device)
        for train, held, target in zip(self.train, self.held, out, strict=True):
            rows = g.index_select(0, held.index)  # (h, n)
            p, _ = inverse_of(held.of(rows))  # (h, h); positive, being part of a positive matrix
            if self.centred:
                p -= p.mean(0)
            torch.mm(p.neg_().to(self.dtype), train.of(rows).to(self.dtype), out=target)
        return (self.k_test.to(g.dtype) @ g).to(self.dtype)

    def inputs(self, y: torch.Tensor) -> DualInputs:
        """See `Form`."""
        return DualInputs(self, y)


class DualInputs:
    """A block of voxels for the dual form: the responses themselves."""

    def __init__(self, form: Dual, y: torch.Tensor) -> None:
        self._form, self._y = form, y
        self._low: torch.Tensor | None = None

    @property
    def test(self) -> torch.Tensor:
        """(v, n)."""
        return self._y

    def fold(self, f: int) -> FoldInputs:
        """See `FoldInputs`; x are the training responses."""
        return self._inputs(f, self._y)

    def low(self, f: int, dtype: torch.dtype) -> FoldInputs:
        """See `BlockInputs`."""
        if self._low is None or self._low.dtype != dtype:
            self._low = lower(self._y, dtype)
        return self._inputs(f, self._low)

    def _inputs(self, f: int, y: torch.Tensor) -> FoldInputs:
        held = self._form.held[f].of(self._y)
        held = held - held.mean(1, keepdim=True)
        return FoldInputs(self._form.train[f].of(y), held, torch.linalg.vector_norm(held, dim=1))
