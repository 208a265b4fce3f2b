"""What a fit costs, from its sizes alone: flops, and seconds and memory of the host with a GPU.

Flops, with n training and m test rows, h and t held-out and training rows of a fold, p delayed features,
V voxels and A alphas:

    dual     A (n³ + Σ (2 h² t + h³)), mostly in float64
             2 A V Σ h t to score, 2 V n m to predict the test set
    primal   10 p³ (folds + 1) + 6 n p² in float64, 2 A Σ min(h, p) p²
             4 V n p to project the responses, 2 A V Σ min(h, p) p to score, 2 V p m to test

Float64 flops count twice. A card has its own rates: an eigendecomposition there costs as much as several
dozen products.
"""

from __future__ import annotations

from typing import NamedTuple

PROCESS = 450_000_000  # bytes of Python, torch and their threads' buffers
CARD_LIBRARIES = 2_000_000_000  # of a GPU's libraries and context on the host; ASSUME: not measured
SLACK = 1.05  # allocators round up
VOXELS = (2048, 1024, 512, 256, 64)  # at once, best first
CARD_VOXELS = (8192, 4096, *VOXELS)
AHEAD = (4, 2, 1)  # blocks that a card's host reads ahead, best first
READING = 16  # bytes of the host for each response being read: as stored, scaled, joined, ready to copy


def default_memory_gb(on_card: bool) -> float:
    """Memory of the host, in 10⁹ bytes, for a fit: with a GPU it reads large blocks ahead, or all."""
    return 32.0 if on_card else 4.0


class RidgeSizes(NamedTuple):
    """Sizes of one fit; see the module's text."""

    n: int
    d: int
    delays: int
    m: int
    voxels: int
    alphas: int
    folds: tuple[tuple[int, int], ...]  # (h, t) of each
    union: int = 0  # rows of a shared kernel; 0: none

    @property
    def p(self) -> int:
        return self.d * self.delays


def flops(form: str, s: RidgeSizes) -> float:
    """Cost of a fit in flops, float64 ones counted twice."""
    if form == "dual":
        once = s.alphas * 2 * (s.n**3 + sum(2 * h * h * t + h**3 for h, t in s.folds))
        each = 2 * s.alphas * sum(h * t for h, t in s.folds) + 2 * s.n * s.m
    else:
        rows = sum(min(h, s.p) for h, _ in s.folds)
        once = 2 * (10 * s.p**3 * (len(s.folds) + 1) + 6 * s.n * s.p**2) + 2 * s.alphas * rows * s.p**2
        each = 4 * s.n * s.p + 2 * s.alphas * rows * s.p + 2 * s.p * s.m
    return float(once) + float(each) * s.voxels


def seconds_on_card(form: str, s: RidgeSizes, fast_float64: bool) -> float:
    """Cost of a fit on a GPU, by rates measured on an H200; ASSUME those of a card with little float64."""
    eigen, double, single, scoring = (1e13, 5e13, 4e13, 2e14) if fast_float64 else (2e11, 1e12, 4e13, 8e13)
    if form == "dual":
        once = s.alphas * (4 / 3 * s.n**3 + sum(2 * h * h * t + h**3 for h, t in s.folds)) / double
        return once + s.voxels * 2 * s.alphas * sum(h * t for h, t in s.folds) / scoring
    rows = sum(min(h, s.p) for h, _ in s.folds)
    once = 10 * s.p**3 * (len(s.folds) + 1) / eigen + 6 * s.n * s.p**2 / double
    once += 2 * s.alphas * rows * s.p**2 / single
    return once + s.voxels * (4 * s.n * s.p / single + 2 * s.alphas * rows * s.p / scoring)


def host_bytes(s: RidgeSizes, voxels: int, ahead: int, keep: bool, kernel: bool = False) -> int:
    """Upper bound of the host's memory in bytes where a GPU does the work, with or without the kernel."""
    reading = READING * (ahead + 1) * min(voxels, s.voxels) * s.n
    total = 8 * (s.n + s.m) * s.d + reading + 12 * s.voxels * s.alphas + (4 * s.voxels * s.n if keep else 0)
    total += 12 * s.n**2 if kernel else 0  # in float64, and copied in float32
    return int(PROCESS + CARD_LIBRARIES + SLACK * total)


def most_host_bytes(s: RidgeSizes) -> int:
    """What a fit takes of the host at most, however large its GPU and `memory_gb` are."""
    return host_bytes(s, CARD_VOXELS[0], AHEAD[0], keep=True, kernel=True)
