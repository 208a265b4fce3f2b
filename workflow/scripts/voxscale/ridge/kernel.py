"""Delays without delayed matrices: the kernel and the Gram matrix of features delayed inside their stories.

Everything here is float64: at 28,000 TRs the largest eigenvalue nears 1e8, where float32 resolves no better
than a few percent of a small penalty.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

ROWS = 2048  # rows handled at once


def positions(lengths: Sequence[int]) -> torch.Tensor:
    """(n,) how many TRs each row lies into its story."""
    return torch.cat([torch.arange(length) for length in lengths])


def delayed_rows(
    x: torch.Tensor, lengths: Sequence[int], delays: Sequence[int], rows: torch.Tensor
) -> torch.Tensor:
    """(h, delays · d): some rows (h,) of the delayed matrix of x (n, d), delay by delay.

    It is 0 where a delay reaches beyond the start of the story.
    """
    position = positions(lengths).to(x.device)[rows]
    return torch.cat([x[(rows - q).clamp_min(0)] * (position >= q)[:, None].to(x) for q in delays], 1)


def delayed_kernel(x: torch.Tensor, lengths: Sequence[int], delays: Sequence[int]) -> torch.Tensor:
    """(n, n) float64 kernel K = X Xᵀ of the delayed X, from the kernel k of the undelayed x (n, d).

    K[i, j] = Σ_q k[i − q, j − q]; a term counts only where both rows lie at least q TRs into their stories.
    """
    x = x.to(torch.float64)
    n = len(x)
    k = torch.empty(n, n, dtype=torch.float64, device=x.device)
    starts = range(0, n, ROWS)
    for i in starts:  # the lower triangle of blocks, mirrored
        end = min(i + ROWS, n)
        torch.mm(x[i:end], x[:end].T, out=k[i:end, :end])
        k[:i, i:end] = k[i:end, :i].T
    reach = {q: (positions(lengths) >= q).to(x) for q in delays}
    # From the last rows to the first, in place: a row of K needs only rows of k at or above it.
    for i in reversed(starts):
        end = min(i + ROWS, n)
        total = torch.zeros(end - i, n, dtype=torch.float64, device=x.device)
        for q in delays:
            first = max(i, q)
            if first < end:
                shifted = k[first - q : end - q, : n - q] * reach[q][first:end, None]
                total[first - i :, q:].addcmul_(shifted, reach[q][None, q:])
        k[i:end] = total
    return k


def cross_kernel(
    x_test: torch.Tensor,
    test_lengths: Sequence[int],
    x_train: torch.Tensor,
    train_lengths: Sequence[int],
    delays: Sequence[int],
) -> torch.Tensor:
    """Delayed kernel between test and training rows, (m, n) float64."""
    k = x_test.to(torch.float64) @ x_train.to(torch.float64).T
    total = torch.zeros_like(k)
    for q in delays:
        rows = (positions(test_lengths) >= q).to(k)
        columns = (positions(train_lengths) >= q).to(k)
        total[q:, q:].addcmul_(k[: len(k) - q, : k.shape[1] - q] * rows[q:, None], columns[None, q:])
    return total


def delayed_products(
    values: torch.Tensor, x: torch.Tensor, lengths: Sequence[int], delays: Sequence[int]
) -> torch.Tensor:
    """Products of rows (v, n) with the delayed matrix of x (n, d): (v, delays, d)."""
    position = positions(lengths).to(x.device)
    parts = [(values[:, q:] * (position[q:] >= q)) @ x[: max(len(x) - q, 0)] for q in delays]  # each (v, d)
    return torch.stack(parts, 1)


def lagged_gram(x: torch.Tensor, lengths: Sequence[int], delays: Sequence[int]) -> torch.Tensor:
    """(delays · d, delays · d) float64 Xᵀ X of the delayed X, from lagged products of x (n, d).

    Block (q, q + τ) sums x_u x_{u−τ}ᵀ over the rows u at least τ into their story, less those in its last q.
    """
    x = x.to(torch.float64)
    d = x.shape[1]
    position = positions(lengths).to(x.device)
    left = torch.cat([torch.arange(length).flip(0) for length in lengths]).to(x.device)  # TRs to the end
    gram = torch.empty(len(delays), d, len(delays), d, dtype=torch.float64, device=x.device)
    products: dict[int, torch.Tensor] = {}
    for a, q in enumerate(delays):
        for b, other in enumerate(delays):
            lag = other - q
            if lag < 0:
                continue
            if lag not in products:
                rows = torch.nonzero(position >= lag).squeeze(1)
                products[lag] = x[rows].T @ x[rows - lag]
            late = torch.nonzero((position >= lag) & (left < q)).squeeze(1)
            block = products[lag] - x[late].T @ x[late - lag]
            gram[a, :, b], gram[b, :, a] = block, block.T
    return gram.reshape(len(delays) * d, len(delays) * d)
