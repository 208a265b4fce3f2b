"""Do two predictions of the same responses score alike? Their blocks are exchanged at random.

If they do, it does not matter which of the two predicts a block of TRs: exchanging them in some blocks
changes the difference of the two scores by chance only. Both are centred in each story and brought to one
variance before, since predictions of two models differ in size by their penalties.
"""

from __future__ import annotations

import numpy as np

from voxscale.statistics.blocks import TimeBlocks, correlations
from voxscale.statistics.intervals import run_length


def n_orders(n_blocks: int) -> float:
    """Number of ways to exchange blocks."""
    return 2.0 ** (n_blocks // run_length(n_blocks))


def exchanges(n_blocks: int, permutations: int, seed: int) -> np.ndarray:
    """(permutations, blocks) bool: which blocks are exchanged.

    Neighbouring blocks share noise, so runs of two are exchanged together, as they are drawn together for an
    interval; where the runs begin is random.
    """
    run, rng = run_length(n_blocks), np.random.default_rng((seed, n_blocks))
    runs = rng.random((permutations, n_blocks // run + 2)) < 0.5
    place = (np.arange(n_blocks) + rng.integers(run, size=(permutations, 1))) // run
    return np.take_along_axis(runs, place, axis=1)


def standard_sums(sums: np.ndarray, blocks: TimeBlocks) -> np.ndarray:
    """Sums (blocks, 5, v) of both series centred in each story, the prediction of norm 1."""
    found = sums.astype(np.float64)
    for story in dict.fromkeys(blocks.story):
        own = blocks.story == story
        p, y, pp, yy, py = np.moveaxis(found[own], 1, 0)
        n = blocks.n[own][:, None]
        a, b = p.sum(0) / n.sum(), y.sum(0) / n.sum()
        centred = p - n * a, y - n * b, pp - 2 * a * p + n * a**2, yy - 2 * b * y + n * b**2
        found[own] = np.stack([*centred, py - a * y - b * p + n * a * b], 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.sqrt(found[:, 2].sum(0))
        found[:, [0, 4]] /= norm
        found[:, 2] /= norm**2
    return found


def exchanged_r(first: np.ndarray, second: np.ndarray, blocks: TimeBlocks, chosen: np.ndarray) -> np.ndarray:
    """Pearson r of both predictions, some blocks of them exchanged: (2, permutations, v).

    Where stories were held out in turn, the differences are as much larger as chance makes them.

    Args:
        first, second: (blocks, 5, v) sums, see `block_sums`.
        chosen: (permutations, blocks) bool, see `exchanges`.
    """
    both = np.concatenate([standard_sums(sums, blocks) for sums in (first, second)])
    twice = TimeBlocks(*(np.tile(getattr(blocks, name), 2) for name in ("n", "story", "start_tr")))
    there, kept = chosen.astype(float), 1.0 - chosen
    r = np.stack([correlations(both, twice, np.hstack(x)) for x in ((kept, there), (there, kept))])
    if not blocks.crossed:
        return r
    middle = r.mean(0)
    return middle + (r - middle) * blocks.inflation**0.5
