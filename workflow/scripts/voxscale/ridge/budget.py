"""Before the work: which form, how many alphas and voxels at once, and how much memory that takes.

With p < n the kernel of the dual has no full rank and loses digits at small λ: it is left out with p < t, and
where the primal costs next to nothing. On a card the dual, whose set-up is products in float64, is as exact.
A card's memory and the host's are two budgets.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch

from voxscale.ridge.card import has_fast_float64
from voxscale.ridge.cost import (
    AHEAD,
    CARD_VOXELS,
    PROCESS,
    SLACK,
    VOXELS,
    RidgeSizes,
    flops,
    host_bytes,
    seconds_on_card,
)
from voxscale.ridge.screen import CALIBRATION, CARD_PIECE, PIECE, low_dtype

CHEAP_PRIMAL = 8192  # delayed features
SCREEN_VOXELS = 4096  # fewer do not pay for the calibration


class CardTooSmall(ValueError):
    """A GPU has less memory left than a fit takes at least."""


@dataclass(frozen=True)
class RidgePlan:
    """How a fit goes about its work.

    Attributes:
        device: that does the work.
        form: dual or primal.
        alphas: whose operators are in memory at once; below all of them, voxels are passed over once for each
            group of alphas.
        voxels: in a block.
        screen: numbers in which alphas are screened; None: they are not.
        keep_responses: whether all responses stay in memory between passes.
        bytes: upper bound of the process's memory, on the host.
        card_bytes: upper bound of a GPU's memory; 0: there is none.
        ahead: blocks of responses that are read ahead.
        kernel_on_host: whether the dual's kernel is kept there for a GPU that is too small for it.
    """

    device: torch.device
    form: Literal["dual", "primal"]
    alphas: int
    voxels: int
    screen: torch.dtype | None
    keep_responses: bool
    bytes: int
    card_bytes: int = 0
    ahead: int = 1
    kernel_on_host: bool = False


def choose_form(
    s: RidgeSizes, form: str = "auto", device: torch.device | None = None
) -> Literal["dual", "primal"]:
    """The requested form, or the cheaper one on the device; by default on a CPU."""
    if form != "auto":
        return form  # type: ignore[return-value]
    if device is not None and device.type == "cuda":
        dual, primal = (seconds_on_card(way, s, has_fast_float64(device)) for way in ("dual", "primal"))
        return "dual" if dual <= primal else "primal"
    if s.p < max(t for _, t in s.folds) or s.p < min(s.n, CHEAP_PRIMAL):
        return "primal"
    return "dual" if flops("dual", s) <= flops("primal", s) else "primal"


def fit_bytes(
    form: str,
    s: RidgeSizes,
    alphas: int,
    voxels: int,
    screen: torch.dtype | None,
    keep: bool,
    item: int,
    centred: bool = True,
    on_card: bool = False,
    kernel_on_host: bool = False,
) -> int:
    """Upper bound of a fit's memory in bytes.

    Args:
        alphas, voxels: at once.
        item: bytes of a number in the scoring.
        centred: as for scores; predictions of every held-out row have operators of as many rows.
        on_card: that of a GPU alone, without the process and the responses that stay on its host.
        kernel_on_host: so does the kernel of the dual.
    """
    h, t = (max(sizes) for sizes in zip(*s.folds, strict=True))
    per_operator = item + (screen.itemsize if screen else 0)
    voxels = min(max(voxels, CALIBRATION) if screen else voxels, s.voxels)
    total = 4 * (s.n + s.m) * s.d  # features as they came
    if form == "dual":
        rows, q = h, t
        operators = alphas * sum(a * b for a, b in s.folds) * per_operator
        kernel = 8 * (s.n**2 + s.m * s.n)
        if s.union:
            making = 8 * (s.union**2 + s.union * s.n)
            kernel += 8 * s.union**2
        else:
            making = 8 * ((s.n + s.m) * s.d + 3 * min(2048, s.n) * s.n)
        aside = s.n**2 * (2 if on_card else 8)  # besides the matrix that is inverted
        step = 8 * s.n**2 + max(aside, (16 + item) * h * s.n + 24 * h * h, 16 * s.m * s.n)
        making += kernel
        if kernel_on_host:
            kernel -= 8 * s.n**2
        setup = max(making, kernel + step + operators)
        held = kernel + operators + s.alphas * s.m * s.n * item
        test = s.n
    else:
        kept = [min(a, s.p) if centred else a for a, _ in s.folds]
        rows, q = max(kept), s.p
        operators = alphas * sum(kept) * s.p * per_operator
        own = sum((item + 8) * k + 2 * item * a + item * s.p for k, (a, _) in zip(kept, s.folds, strict=True))
        own *= s.p
        own += 8 * (2 * s.p**2 + s.m * s.p) + item * s.n * s.p
        making = 8 * ((s.n + s.m) * s.d + 6 * s.p**2 + 4 * h * s.p)
        setup = own + max(making, operators + 16 * rows * s.p)
        held = own + operators + s.alphas * s.m * s.p * item
        test = s.p * (1 + len(s.folds)) + s.n
    block = voxels * (12 * s.n + item * (s.n + test) + (2 * item + 2) * q + 3 * item * h)
    block += 2 * voxels * rows * item + 3 * voxels * (4 + item) * s.m
    if on_card:
        block += 18 * voxels * q + 14 * rows * q  # bfloat16 halves, and what they are made of
    if screen:
        # Lowered responses, and what a block's predictions and the combining of operators need for a while.
        block += 9 * voxels * s.n + voxels * alphas * (8 * alphas + (4 + item) * rows)
        setup += 4 * item * alphas * max(CARD_PIECE if on_card else PIECE, q)
    total += max(setup, held + block)
    if on_card:
        return int(SLACK * total)
    total += s.voxels * s.alphas * 12 if alphas < s.alphas else 0
    total += 4 * s.voxels * s.n if keep else 0
    return int(PROCESS + SLACK * total)


def choose_screen(s: RidgeSizes, screen: str, low: torch.dtype, alphas: int) -> torch.dtype | None:
    """Precision of the screen, if it is requested or saves time; else None.

    It saves time with enough voxels and with all alphas at once: else the certification would compute the
    operators of each group again.
    """
    enough = s.voxels >= SCREEN_VOXELS and s.alphas > 2 and alphas == s.alphas
    if screen == "float32":
        return torch.float32
    return low if screen == "on" or (screen == "auto" and enough) else None


def make_plan(
    s: RidgeSizes,
    memory_gb: float,
    form: str,
    screen: str,
    precision: str,
    device: torch.device,
    centred: bool = True,
    low: torch.dtype | None = None,
    card_gb: float = math.inf,
) -> RidgePlan:
    """Fit the work into the memory.

    Args:
        memory_gb: of the host.
        low: cheap numbers to screen in; None: those of the device.
        card_gb: memory of the GPU, where the device is one.

    Raises:
        CardTooSmall: it cannot be done on the card; the line says in how much it can.
        ValueError: it cannot be done in `memory_gb`, likewise.
    """
    low = low or low_dtype(device)
    item = 8 if precision == "float64" else 4
    chosen = choose_form(s, form, device)
    groups = sorted({-(-s.alphas // k) for k in range(1, s.alphas + 1)}, reverse=True)
    on_card = device.type == "cuda"
    need = card = 0
    # All alphas at once spares passes over the voxels; small blocks only slow the products down.
    spilling = (False, True) if on_card and chosen == "dual" else (False,)
    blocks = CARD_VOXELS if on_card else VOXELS
    for alphas, spilled, voxels in itertools.product(groups, spilling, blocks):
        screened = choose_screen(s, screen, low, alphas)
        sizes = chosen, s, alphas, voxels, screened
        card = fit_bytes(*sizes, False, item, centred, True, spilled) if on_card else 0
        if card > card_gb * 1e9:
            continue
        for keep, ahead in itertools.product(
            (True, False) if alphas < s.alphas else (False,), AHEAD if on_card else (1,)
        ):
            if on_card:
                need = host_bytes(s, voxels, ahead, keep, spilled)
            else:
                need = fit_bytes(*sizes, keep, item, centred)
            if need <= memory_gb * 1e9:
                at_once = alphas, min(voxels, s.voxels)
                return RidgePlan(device, chosen, *at_once, screened, keep, need, card, ahead, spilled)
    if card > card_gb * 1e9:
        raise CardTooSmall(
            f"a GPU with {card_gb:.1f} GB left is too small for {s.n} training TRs, {s.p} delayed features "
            f"and {s.voxels} voxels, which take at least {card / 1e9:.1f}; use a larger one, or device: cpu"
        )
    raise ValueError(
        f"{memory_gb:.1f} GB are too few for {s.n} training TRs, {s.p} delayed features and {s.voxels} "
        f"voxels; raise memory_gb, at least by {need / 1e9 - memory_gb:.1f}"
    )
