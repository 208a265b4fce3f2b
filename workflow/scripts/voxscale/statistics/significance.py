"""Is a voxel predicted at all? Block permutation for each voxel, false discovery rate over voxels.

Sources: Phipson & Smyth 2010 (doi:10.2202/1544-6115.1585) for (b + 1)/(n + 1); Knijnenburg et al. 2009
(doi:10.1093/bioinformatics/btp211) for a fitted tail; Benjamini & Hochberg 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from voxscale.statistics.blocks import centre_stories, vary_in_stories

_FEWEST_PAIRS = 20  # pairs of blocks to measure the widening with
FEWEST_BLOCKS = 7  # in 5040 orders: fewer have too large p, and too few pairs of blocks to widen by
_FEW_BEYOND = 10  # permutations that reach r: with fewer, p is that of the fitted tail
_TAIL = 100  # largest permuted r that the tail is fitted to


def whole_blocks(lengths: Sequence[int], block: int, skip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows (blocks, block) of whole blocks, none across two stories, and those left over at a story's end.

    Args: as for `permutation_p`. Rows are indices into the concatenated test TRs.
    """
    blocks, rest, start = [], [], 0
    for length in lengths:
        rows = np.arange(start + min(skip, length), start + length)
        whole = len(rows) // block * block
        blocks.append(rows[:whole].reshape(-1, block))
        rest.append(rows[whole:])
        start += length
    return np.concatenate(blocks), np.concatenate(rest)


def permutation_p(
    predicted: np.ndarray,
    observed: np.ndarray,
    lengths: Sequence[int],
    block: int = 10,
    skip: int = 0,
    permutations: int = 1000,
    seed: int = 0,
    inflation: int = 1,
) -> np.ndarray:
    """One-sided p of each voxel's test correlation, the responses permuted in blocks of TRs.

    Blocks keep the autocorrelation of the noise except across their borders, which `_widening` corrects for.
    A permutation is the same for all voxels and, with one seed, for all models. The products of every two
    blocks are computed once, so that all permutations are one matrix product.

    Few voxels among many pass a false discovery rate only with a p below 1/(n + 1). Where fewer than 10 of at
    least 400 permutations reach r, p is therefore that of an exponential tail through the 100 largest, which
    lies above a normal's: such a p is too large rather than too small. It is not below 1/(number of orders).

    Args:
        predicted: (voxels, test TRs).
        observed: (voxels, test TRs).
        lengths: TRs of each test story, in the order they are concatenated.
        block: TRs in a block.
        skip: TRs left out at the start of each story.
        inflation: how many times the variance of the null distribution is that of permuted blocks.

    Returns:
        p: (voxels,) float32, never 0; NaN where r is undefined, and with fewer than seven blocks.
    """
    rows, rest = whole_blocks(lengths, block, skip)
    n_blocks = len(rows)
    if n_blocks < FEWEST_BLOCKS or permutations < 1:
        return np.full(len(predicted), np.nan, np.float32)
    scored = np.concatenate([rows.ravel(), rest])
    order = np.array([np.random.default_rng((seed, i)).permutation(n_blocks) for i in range(permutations)])
    # ASSUME: the incomplete block at the end of a story stays in place in every permutation.
    chosen = np.zeros((permutations, n_blocks, n_blocks), np.float32)
    chosen[np.arange(permutations)[:, None], np.arange(n_blocks), order] = 1
    chosen = chosen.reshape(permutations, -1).T  # (blocks², permutations)
    follows = np.diff(rows[:, 0]) == block  # (blocks - 1,) whether the next block is the same story's
    p = np.empty(len(predicted), np.float32)
    step = max(1, 30_000_000 // (permutations + n_blocks**2))
    for start in range(0, len(predicted), step):
        part = slice(start, start + step)
        x, y = (_unit(values[part], scored, lengths, skip) for values in (predicted, observed))
        whole = rows.size
        inside = x[:, :whole].reshape(-1, n_blocks, block) @ np.swapaxes(
            y[:, :whole].reshape(-1, n_blocks, block), 1, 2
        )  # (v, blocks, blocks): products of predicted block b with observed block c
        fixed = (x[:, whole:] * y[:, whole:]).sum(1)
        r = np.trace(inside, axis1=1, axis2=2) + fixed
        null = inside.reshape(len(x), -1) @ chosen  # (v, permutations)
        # The null distribution is widened around its mean over all permutations.
        mean, wider = inside.sum((1, 2)) / n_blocks, _widening(inside, follows) * np.float32(inflation**0.5)
        null *= wider[:, None]
        null += ((1 - wider) * mean + fixed)[:, None]
        p[part] = share_beyond(null, r, math.factorial(n_blocks))
    return np.maximum(p, np.finfo(np.float32).tiny, where=np.isfinite(p), out=p)


def share_beyond(null: np.ndarray, r: np.ndarray, orders: float) -> np.ndarray:
    """p of r (v,), or of another statistic, in its null distribution (v, permutations); NaN where r is.

    Args:
        orders: number of different permutations there are; no p is below one over it.
    """
    # Equal up to rounding counts as reached: the real order may be among the permutations.
    beyond = (null >= r[:, None] - 1e-6).sum(1)
    found = (beyond + 1) / (null.shape[1] + 1)
    few = np.isfinite(r) & (beyond < _FEW_BEYOND)
    if null.shape[1] >= 4 * _TAIL:
        found[few] = np.minimum(found[few], np.maximum(_tail_p(null[few], r[few]), 1 / orders))
    return np.where(np.isfinite(r), found, np.nan)


def _tail_p(null: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Share of an exponential tail, fitted to the largest of null (v, permutations), that reaches r: (v,)."""
    n = null.shape[1]
    largest = np.partition(null, n - _TAIL - 1, axis=1)[:, n - _TAIL - 1 :]
    start = largest.min(1)
    scale = (largest.sum(1) - start) / _TAIL - start
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, _TAIL / n * np.exp(-(r - start) / scale), 1.0)


def one_block_later(
    predicted: np.ndarray, observed: np.ndarray, lengths: Sequence[int], block: int, skip: int = 0
) -> np.ndarray:
    """Product of the autocorrelations of prediction and response, one block later: (voxels,).

    Near 0 for haemodynamic responses to speech. Where both drift it is not, blocks are no units that could be
    permuted or resampled, and p and intervals come out too small.

    Args: as for `permutation_p`.
    """
    product = np.ones(len(predicted))
    for x in (predicted, observed):
        lagged = own = 0.0
        for part in np.split(centre_stories(x, lengths, skip), np.cumsum(lengths)[:-1], axis=1):
            part = part[:, skip:]
            lagged = lagged + (part[:, block:] * part[:, : max(part.shape[1] - block, 0)]).sum(1)
            own = own + (part**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            product *= lagged / own
    return product


def _widening(products: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """How much wider the null distribution is than that of permuted blocks: (v,).

    Neighbouring blocks are correlated where they meet. Their products vary together in the real order but not
    in a permuted one, whose spread is too small: p <= 0.05 for 5.5 to 6 % of null voxels at 10 TRs. The
    shared part is measured where there is no signal, in the products of blocks that are not neighbours. It
    never narrows: with few blocks a chance narrowing would multiply the rate of small p by three.

    Args:
        products: (v, blocks, blocks) of predicted block b with observed block c.
        follows: (blocks - 1,) whether block b + 1 follows block b.
    """
    first, second = products[:, :-1, :-1], products[:, 1:, 1:]  # the same pair of blocks, one block later
    n = len(follows)
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > 1
    used = (apart & np.outer(follows, follows)).astype(np.float32)
    if used.sum() < _FEWEST_PAIRS:
        return np.ones(len(products), np.float32)
    shared = np.einsum("vbc,vbc,bc->v", first, second, used, optimize=True)
    own = np.einsum("vbc,bc->v", (first**2 + second**2) / 2, used, optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = 1 + 2 * follows.sum() / (n + 1) * shared / own
    return np.sqrt(np.maximum(variance, 1.0))


def _unit(x: np.ndarray, scored: np.ndarray, lengths: Sequence[int], skip: int) -> np.ndarray:
    """Scored TRs of rows, centred in each story and of length 1; NaN where a row is flat or has NaN."""
    x = vary_in_stories(x, lengths, skip)[:, scored]
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.where(length > 0, length, np.nan)).astype(np.float32)


def false_discovery(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p (q values) over the voxels that have one.

    Args:
        p: (voxels,); NaN for voxels that were not tested, which are left out.

    Returns:
        q: (voxels,) float64, NaN where p is NaN. A voxel is significant at rate f where q <= f.
    """
    from scipy.stats import false_discovery_control  # takes a while to import

    q = np.full(len(p), np.nan)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = false_discovery_control(np.asarray(p, np.float64)[tested])
    return q
