"""What a GPU does otherwise than a CPU: products of halves on its tensor cores, inverses made of products.

A float32 number is the sum of two bfloat16 numbers to 16 of its 24 bits. Three products of such halves, added
up in float32, are the product of float32 numbers to 4e-5 of its size (rows of 8192 numbers, on an H200), at a
third of the bfloat16 rate, which is five times the float32 rate there.

Measured there (docs/benchmarks.md): a library's inverse from a Cholesky factor reaches a fifth of the rate of
products, so the inverse is made of products of halves of the matrix. Its work is 4/3 n³ flops.
"""

from __future__ import annotations

import torch

LEAF = 1024  # rows that are factorised directly
# Compute capabilities of cards whose float64 is at least half as fast as their float32. Others have 1/32 or
# 1/64 of it. Source: CUDA C++ Programming Guide, arithmetic throughput.
FAST_FLOAT64 = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}


def has_fast_float64(device: torch.device) -> bool:
    """Whether float64 costs little there: on CPUs, and on cards made for it."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) in FAST_FLOAT64


def multiplies_halves(x: torch.Tensor) -> bool:
    """Whether products of this tensor are best made of bfloat16 halves."""
    on_card = x.is_cuda and torch.cuda.get_device_capability(x.device) >= (8, 0)
    return on_card and x.dtype == torch.float32


def left_halves(x: torch.Tensor) -> torch.Tensor:
    """(v, 3q) bfloat16 of x (v, q) float32: high, high and low halves; see `halves_product`."""
    high = x.to(torch.bfloat16)
    return torch.cat([high, high, (x - high).to(torch.bfloat16)], 1)


def right_halves(operator: torch.Tensor) -> torch.Tensor:
    """(rows, 3q) bfloat16 of an operator (rows, q) float32: high, low and high halves."""
    high = operator.to(torch.bfloat16)
    return torch.cat([high, (operator - high).to(torch.bfloat16), high], 1)


def halves_product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """(v, rows) float32: left · rightᵀ of halves, added up in float32."""
    if left.is_cuda:
        return torch.mm(left, right.T, out_dtype=torch.float32, out=out)
    return torch.mm(left.to(torch.float32), right.to(torch.float32).T, out=out)


def invert(a: torch.Tensor) -> torch.Tensor:
    """Put the inverse of a symmetric positive matrix (n, n) in its place, by halves of it.

    Needs n²/4 numbers besides. Nothing waits for the card.

    Returns:
        a number above 0 where the matrix is not positive, and its inverse of no use.
    """
    n = len(a)
    if n <= LEAF:
        factor, failed = torch.linalg.cholesky_ex(a)
        a.copy_(torch.cholesky_inverse(factor))
        return failed
    k = n // 2
    first, corner, last = a[:k, :k], a[k:, :k], a[k:, k:]
    failed = invert(first)
    mixed = corner @ first  # (n - k, k)
    last.addmm_(mixed, corner.T, alpha=-1)
    failed = failed + invert(last)
    torch.addmm(corner, last, mixed, beta=0, alpha=-1, out=corner)
    first.addmm_(mixed.T, corner, alpha=-1)
    a[:k, k:] = corner.T
    return failed
