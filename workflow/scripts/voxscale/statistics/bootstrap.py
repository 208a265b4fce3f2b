"""Scores and their uncertainty from sums over blocks of test TRs.

A cell's moments hold, for each block of 10 test TRs, the sums of p, y, p², y² and p·y (p predicted, y
observed). Sums add up, so any set of blocks with any counts has its correlation at once: a resampled test
set, a cut of the first seconds, a held-out half. Nothing is predicted or read again.

Blocks, not TRs, are resampled: neighbouring TRs share noise. Voxels are never resampled: they are not
independent. All cells see the same draws of blocks, so that differences between models keep their pairing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.errors import UserError
from voxscale.io import reading

FEW_BLOCKS = 8
ACROSS = 0.09  # of the variance of a mean, what single blocks of ten TRs lose across their ends
METRICS = ("r", "r2")  # mean correlation, mean signed r² = r·|r|


@dataclass(frozen=True)
class Blocks:
    """Blocks of test TRs.

    Args:
        n: (blocks,) TRs in each block.
        story: (blocks,) its test story.
        start_tr: (blocks,) first TR of the block in its story.
    """

    n: np.ndarray
    story: np.ndarray
    start_tr: np.ndarray

    def kept(self, cut_trs: float) -> np.ndarray:
        """(blocks,) bool: blocks with no TR among the first `cut_trs` of their story."""
        return self.start_tr >= cut_trs

    def same(self, other: Blocks) -> bool:
        """Whether two cells were tested on the same TRs."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("n", "story", "start_tr")
        )


def blocks_of(lengths: Mapping[str, int], block: int, skip: int = 0) -> Blocks:
    """Cut test stories into blocks, none across two stories.

    Blocks begin anew behind the first `skip` TRs of a story, which are not scored: blocks then hold just the
    TRs that scores are of. The last block before that, and the last of a story, may be shorter.
    """
    found = []
    for story, length in lengths.items():
        edges = [*range(0, min(skip, length), block), *range(min(skip, length), length, block), length]
        found += [(end - start, story, start) for start, end in itertools.pairwise(edges)]
    n, story, start = zip(*found, strict=True)
    return Blocks(np.array(n), np.array(story), np.array(start))


def block_sums(predicted: np.ndarray, observed: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Moments of predictions: (blocks, 5, voxels) float64 sums of p, y, p², y², p·y.

    Args:
        predicted: (voxels, test TRs), stories concatenated in the order of `blocks`.
        observed: (voxels, test TRs).
    """
    edges = np.concatenate([[0], np.cumsum(blocks.n)[:-1]])
    p, y = predicted.astype(np.float64), observed.astype(np.float64)
    sums = [np.add.reduceat(x, edges, axis=1).T for x in (p, y, p * p, y * y, p * y)]
    return np.stack(sums, axis=1)


def correlations(sums: np.ndarray, n: np.ndarray | float) -> np.ndarray:
    """Pearson r from sums.

    Args:
        sums: (..., 5, voxels) sums of p, y, p², y², p·y.
        n: (...) TRs in them.

    Returns:
        (..., voxels); NaN where p or y does not vary, never 0.
    """
    n = np.asarray(n, np.float64)[..., None]
    p, y, pp, yy, py = np.moveaxis(sums, -2, 0)
    var_p, var_y = pp - p * p / n, yy - y * y / n
    with np.errstate(invalid="ignore", divide="ignore"):
        # Sums are kept in float32: a variance below their rounding is none.
        usable = (var_p > 1e-6 * pp) & (var_y > 1e-6 * yy)
        return np.where(usable, (py - p * y / n) / np.sqrt(var_p * var_y), np.nan)


def skipped_trs(settings: Mapping[str, Any]) -> int:
    """TRs at the start of each test story that are not scored: as many as reach into its first `skip_s`."""
    return math.ceil(settings["skip_s"] / settings["tr_s"] - 1e-9)


def require_blocks(blocks: Blocks, cut_trs: float, subject: str) -> int:
    """How many blocks of a subject's test stories are scored: two at least, so that they can be resampled.

    Raises:
        UserError: fewer than two.
    """
    n_blocks = int(blocks.kept(cut_trs).sum())
    if n_blocks < 2:
        told = f"{subject}'s test stories have {n_blocks} such blocks after scoring.skip_s, and need two"
        raise UserError(f"config key scoring.block_trs: {told}; lower either")
    return n_blocks


class Moments:
    """Block sums of one cell on disk; see the module's docstring.

    Attributes:
        blocks: the test blocks.
        voxels: (voxels,) columns of the dataset's response files.
        n_draws, n_voxels: of `read`.

    Raises:
        UserError: the file is missing, cut off, or something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with h5py.File(self.path, "r") as file:
                self.n_draws, _, _, self.n_voxels = file["moments"].shape
                story = np.array([s.decode() if isinstance(s, bytes) else s for s in file["story"][:]])
                self.voxels = file["voxel"][:]
                self.blocks = Blocks(file["n"][:], story, file["start_tr"][:])
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; fit the cell again") from None
        except (OSError, KeyError, ValueError) as error:
            detail = str(error).splitlines()[0]
            raise UserError(
                f"{path}: holds no moments of a cell ({detail}); delete it and run again"
            ) from None

    def read(self, draw: int, kept: np.ndarray, step: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
        """Kept blocks of one draw: (voxel slice, (blocks, 5, v) float64), some thousand voxels at a time."""
        with reading(self.path, "delete it and run again"), h5py.File(self.path, "r") as file:
            for start in range(0, self.n_voxels, step):
                part = slice(start, min(start + step, self.n_voxels))
                yield part, file["moments"][draw, :, :, part][kept].astype(np.float64)


def block_counts(n_blocks: int, draws: int, seed: int | Sequence[int]) -> np.ndarray:
    """(1 + draws, blocks) float64: how often a block is in each resampled test set; row 0: the real one.

    Blocks are drawn in runs of two neighbours that may overlap (Künsch 1989, doi:10.1214/aos/1176347265): so
    half of what noise shares across the border of two blocks is kept. Few blocks are drawn one by one.
    """
    rng = np.random.default_rng(seed)
    run = run_length(n_blocks)
    runs = -(-n_blocks // run)
    starts = rng.multinomial(runs, np.full(n_blocks, 1 / n_blocks), size=draws)
    counts = sum(np.roll(starts, i, axis=1) for i in range(run)) * (n_blocks / (runs * run))
    return np.concatenate([np.ones((1, n_blocks)), counts])


def run_length(n_blocks: float) -> int:
    """Neighbouring blocks that are drawn together."""
    return 2 if n_blocks >= FEW_BLOCKS else 1


def resampled_r(
    sums: np.ndarray, n: np.ndarray, counts: np.ndarray, step: int = 256
) -> Iterator[tuple[slice, np.ndarray]]:
    """Pearson r in every resampled test set: (voxel slice, (resamples, v)), in steps that fit a cache.

    Args:
        sums: (blocks, 5, voxels); n: (blocks,) TRs; counts: (resamples, blocks).
    """
    trs = counts @ n
    for start in range(0, sums.shape[2], step):
        part = sums[:, :, start : start + step]
        added = (counts @ part.reshape(len(part), -1)).reshape(len(counts), 5, -1)
        with np.errstate(invalid="ignore", divide="ignore"):
            yield slice(start, start + part.shape[2]), correlations(added, trs)


def mean_scores(
    parts: Iterator[tuple[slice, np.ndarray]] | Sequence[tuple[slice, np.ndarray]],
    n: np.ndarray,
    counts: np.ndarray,
    sets: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Mean r and mean signed r² over sets of voxels, in every resampled test set.

    Args:
        parts: (voxel slice, (blocks, 5, v)), as `Moments.read` gives.
        n: (blocks,) TRs in each block.
        counts: (resamples, blocks), see `block_counts`.
        sets: name -> (voxels,) bool.

    Returns:
        (resamples, sets, metrics) in the order of `sets` and `METRICS`; NaN for a set without a voxel.
    """
    member = np.array(list(sets.values()), np.float64)  # (sets, voxels)
    total = np.zeros((len(counts), len(member), len(METRICS)))
    known = np.zeros((len(counts), len(member)))
    for part, sums in parts:
        used = member[:, part].any(0)
        here = member[:, part][:, used].T  # (v, sets)
        for few, r in resampled_r(sums[..., used], n, counts):
            inside, valid = here[few], np.isfinite(r)
            r = np.where(valid, r, 0.0)  # left out of the mean through `known`
            total[..., 0] += r @ inside
            total[..., 1] += (r * np.abs(r)) @ inside
            known += valid @ inside
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / np.where(known > 0, known, np.nan)[..., None]


def cell_scores(
    moments: Moments,
    cut_trs: float,
    counts: np.ndarray,
    sets: Mapping[str, np.ndarray],
    n_draws: int | None = None,
) -> np.ndarray:
    """`mean_scores` of a cell's first `n_draws` draws, or of all: (draws, resamples, sets, metrics)."""
    kept = moments.blocks.kept(cut_trs)
    n = moments.blocks.n[kept]
    draws = range(moments.n_draws)[:n_draws]
    return np.array([mean_scores(moments.read(draw, kept), n, counts, sets) for draw in draws])


def check_same_test(cells: Sequence[Moments]) -> None:
    """Scores of one subject are compared on one test set only.

    Raises:
        UserError: two cells were tested on different TRs.
    """
    for cell in cells[1:]:
        if not cell.blocks.same(cells[0].blocks):
            raise UserError(
                f"{cell.path}: was tested on other TRs than {cells[0].path}, so the two cannot be compared; "
                "fit both with one config"
            )


def jackknife_error(sums: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Standard error of r, each block left out once: (voxels,), NaN with fewer than three blocks.

    Args:
        sums: (blocks, 5, voxels); n: (blocks,) TRs.
    """
    if len(n) < 3:
        return np.full(sums.shape[2], np.nan)
    r = correlations(sums.sum(0) - sums, n.sum() - n)  # (blocks, voxels)
    return np.sqrt((len(n) - 1) * r.var(0))


def draw_weights(n_draws: int, draws: int, seed: int, level: float, n_blocks: float) -> np.ndarray:
    """(1 + draws, n_draws) weights of the training draws in each resample; row 0 weighs all alike.

    Draws are nested: the same draw index at each training size is one growing set of stories, so one resample
    of the weights serves all sizes. Draws are few, and counting them anew has few outcomes and too little
    spread: weights vary smoothly instead, by so much that where `interval` ends, a mean has strayed as far as
    Student's t of its draws says. Of draws alone or blocks alone the interval is then the t interval.

    Args:
        level, n_blocks: of the interval that the resamples are for; one that rests on fewer blocks, as a mean
            over subjects with other test sets, takes the draws in wider than that.
    """
    from scipy import special

    if n_draws == 1:
        return np.ones((1 + draws, 1))
    normal = np.random.default_rng((seed, n_draws)).normal(size=(draws, n_draws))
    wanted = special.stdtrit(n_draws - 1, 0.5 + level / 2) / reach(level, n_blocks)
    varied = (normal - normal.mean(1, keepdims=True)) * np.sqrt(n_draws / (n_draws - 1)) * wanted
    return (1 + np.concatenate([np.zeros((1, n_draws)), varied])) / n_draws


def effective_blocks(one: np.ndarray, other: np.ndarray) -> float:
    """Blocks that the difference of the means over two sets of blocks rests on, as many as weigh alike in it.

    Args:
        one, other: (blocks,) bool. Of the same set, whose difference is 0, all blocks.
    """
    weights = one / one.sum() - other / other.sum()
    if not weights.any():
        return len(weights)
    return float((weights**2).sum() ** 2 / (weights**4).sum())


def freedom(n_units: float, run: int | None = None) -> float:
    """Degrees of freedom of a variance from resampled blocks; runs of two tell a third less."""
    return max((n_units / 1.5 if (run or run_length(n_units)) == 2 else n_units) - 1, 1)


def spread_lost(n_units: float, run: int | None = None) -> float:
    """Variance over that of the blocks' resamples.

    These vary around the mean of the same few blocks, are one block more where runs of two do not fill their
    number, and lose what signal and noise share across the ends of a run. Of products of two series that each
    reach as far as a haemodynamic response, with autocorrelation ρ(k), that is the share
    2 Σ k ρ²(k) / Σ ρ²(k) / TRs of a run.

    ASSUME: blocks of about ten TRs of 2 s.
    """
    run = run or run_length(n_units)
    drawn = n_units + (run == 2 and n_units % 2 == 1)
    return drawn / max(n_units - run, 1) / (1 - ACROSS / run)


def reach(level: float, n_units: float, run: int | None = None) -> float:
    """Standard deviations of resamples to either side of an estimate that its interval takes in."""
    from scipy import special

    width = special.stdtrit(freedom(n_units, run), 0.5 + level / 2)
    return float(width * np.sqrt(spread_lost(n_units, run)))


def outer_share(level: float, n_units: float, run: int | None = None) -> float:
    """Share of resamples beyond either end of an interval, see `reach`."""
    from scipy import special

    return float(special.ndtr(-reach(level, n_units, run)))


def interval(
    estimate: np.ndarray | float, resampled: np.ndarray, level: float, n_units: float, run: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Interval around an estimate from its bootstrap resamples.

    With few blocks a bootstrap's spread is too small by (n - run)/n and its tails are a normal's where
    Student's are due: the percentiles are taken further out, as far as a t interval would reach (Hesterberg
    2015, doi:10.1080/00031305.2015.1089789). Resampling moves a score upwards (r² more so):
    percentiles are taken around the resamples' own median, so that this shift is not in the interval. Where
    no resample strays as far, as with two or three blocks, it is `reach` times their standard deviation.

    Args:
        estimate: (...) from the real data.
        resampled: (resamples, ...); NaN are left out.
        level: e.g. 0.9.
        n_units: blocks that were resampled.
        run: blocks drawn together, where that is not what as many blocks are drawn in.

    Returns:
        lo, hi: (...) each; NaN where there is no resample, or one block alone.
    """
    share = outer_share(level, n_units, run)
    resampled = np.asarray(resampled, np.float64)
    empty = ~np.isfinite(resampled).any(0) | (n_units <= 1)
    filled = np.where(empty, 0.0, resampled)
    shift = estimate - np.nanmedian(filled, 0)
    if share * len(resampled) < 0.5:
        half = reach(level, n_units, run) * np.nanstd(filled, 0)
        lo, hi = estimate - half, estimate + half
    else:
        lo, hi = np.nanquantile(filled, [share, 1 - share], axis=0) + shift
    return np.where(empty, np.nan, lo)[()], np.where(empty, np.nan, hi)[()]
