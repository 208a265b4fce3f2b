"""Simulated designs without a repeated test story: stories tested on in turn, ceilings across subjects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from law_studies import LEVEL, Row, share
from simulated_study import smooth

from voxscale.scores.shared import shared_columns
from voxscale.statistics import (
    TimeBlocks,
    block_counts,
    block_sums,
    blocks_of,
    correlations,
    interval,
    permutation_p,
    standard_rows,
)
from voxscale.timeseries import zscore

TRS, WIDTH, VOXELS = 120, 40, 60


class Turns(NamedTuple):
    """Predictions (stories, voxels, TRs) as they come, and responses (voxels, all TRs).

    Attributes:
        predicted, observed: of stories that were held out in turn.
        fresh_predicted, fresh_observed: of other stories, by the same fits.
        true: (voxels,) correlation of a fold's weights in endless data, mean over folds.
    """

    predicted: np.ndarray
    observed: np.ndarray
    fresh_predicted: np.ndarray
    fresh_observed: np.ndarray
    true: np.ndarray


def leave_one_out(seed: int, stories: int, signal: float, alpha: float) -> Turns:
    """Ridge to all stories but one, for each story.

    Features and noise are as smooth as haemodynamic ones; a third of the noise is common to all voxels.
    """
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(VOXELS, WIDTH)) * np.sqrt(signal / WIDTH)
    own = np.sqrt(1 - (weights**2).sum(1, keepdims=True).clip(max=0.9))

    def made() -> tuple[np.ndarray, np.ndarray]:
        x = smooth(rng.normal(size=(WIDTH, stories * TRS + 50)))
        noise = smooth(rng.normal(size=(VOXELS + 1, stories * TRS + 50)))
        y = weights @ x + own * (np.sqrt(1 / 3) * noise[:1] + np.sqrt(2 / 3) * noise[1:])
        both = (np.stack(np.split(each, stories, 1)) for each in (x, y))
        x, y = (each - each.mean(2, keepdims=True) for each in both)
        return x, y

    (x, y), (fresh_x, fresh_y) = made(), made()
    gram, products = x @ np.swapaxes(x, 1, 2), y @ np.swapaxes(x, 1, 2)
    fits = np.stack(
        [
            (products.sum(0) - products[fold])
            @ np.linalg.inv(gram.sum(0) - gram[fold] + alpha * np.eye(WIDTH))
            for fold in range(stories)
        ]
    )
    true = ((fits * weights).sum(2) / np.linalg.norm(fits, axis=2)).mean(0)
    responses = (np.concatenate(each, 1) for each in (y, fresh_y))
    return Turns(fits @ x, next(responses), fits @ fresh_x, next(responses), true)


def _standard_r(predicted: np.ndarray, observed: np.ndarray, blocks: TimeBlocks) -> np.ndarray:
    return correlations(block_sums(_standard(predicted), observed, blocks), blocks)[0]


def _standard(predicted: np.ndarray) -> np.ndarray:
    """Predictions brought to one variance in each story, one after the other."""
    return np.concatenate([standard_rows(one, [TRS]) for one in predicted], 1)


def turns(studies: int) -> Iterator[Row]:
    """Are the score, its interval and its p right, where each story is predicted by a fit to the others?"""
    for stories, signal, alpha in ((5, 0.0, 100.0), (12, 0.0, 3000.0), (12, 0.02, 3000.0), (12, 0.3, 300.0)):
        blocks = blocks_of({str(i): TRS for i in range(stories)}, 10, crossed=True)
        counts = [block_counts(len(blocks.n), 200, 1, inflation) for inflation in (1, blocks.inflation)]
        apart, plain, p, hits, means = [], [], [[], []], [[], []], [[], []]
        for seed in range(studies):
            each, y, *fresh, true = leave_one_out(seed, stories, signal, alpha)
            scaled = _standard(each)
            sums = block_sums(scaled, y, blocks)
            for i, factor in enumerate((1, blocks.inflation)):
                r = correlations(sums, blocks, counts[i])
                lo, hi = interval(r[0], r[1:], LEVEL, len(blocks.n))
                hits[i].append((lo <= true) & (true <= hi))
                lo, hi = interval(r[0].mean(), r[1:].mean(1), LEVEL, len(blocks.n))
                means[i].append(lo <= true.mean() <= hi)
                found = permutation_p(scaled, y, [TRS] * stories, 10, 0, 199, seed, factor)
                p[i].append(found <= 0.05)
            apart.append((r[0] - (_standard_r(*fresh, blocks) if signal else 0.0)).mean())
            raw = block_sums(np.concatenate(each, 1), y, blocks)
            plain.append(correlations(raw, blocks)[0].mean())
        label = f"{stories} stories of {TRS} TRs in turn, signal in {100 * signal:g} % of the variance"
        what = "mean r less that of the same fits on fresh stories" if signal else "mean r"
        yield label, what, "0 within 3 standard errors", _mean(apart)
        if not signal:
            yield label, "mean r, folds not brought to one variance", "below 0", _mean(plain)
            yield label, "p ≤ 0.05", "5 %", _over_studies(p[1])
            yield label, "the same, by permuted blocks alone", "above 5 %", _over_studies(p[0])
        wide = "85–95 %" if signal < 0.1 else "85 % or more"
        for name, by in (("of a voxel", hits), (f"of a mean over {VOXELS} voxels", means)):
            yield f"90% interval {name}, {label}", "holds the truth", wide, _over_studies(by[1])
        yield f"90% interval of a voxel, {label}", "the same, by blocks alone", "less", _over_studies(hits[0])


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):+.4f} ± {np.std(values) / np.sqrt(len(values)):.4f}"


def _over_studies(hits: list[np.ndarray]) -> str:
    """A share over voxels, which have noise in common: its error is that over studies."""
    each = 100 * np.array([np.mean(one) for one in hits])
    return f"{each.mean():.1f} % ± {each.std() / np.sqrt(len(each)):.1f}"


def shared_ceilings(studies: int) -> Iterator[Row]:
    """Is a ceiling across subjects what they share, whatever their number and what the others share?"""
    blocks = blocks_of({"a": 300}, 10)
    for first, others, own in (
        (0.2, [0.2] * 2, 0.0),
        (0.2, [0.2] * 7, 0.0),
        (0.2, [0.05, 0.5], 0.0),
        (0.2, [0.05, 0.1, 0.3, 0.5], 0.0),
        (0.05, [0.3] * 4, 0.0),
        (0.2, [0.2] * 4, 0.4),
        (0.0, [0.3] * 4, 0.0),
    ):
        n, range_of = 1 + len(others), " to ".join(f"{100 * a:g}" for a in sorted({min(others), max(others)}))
        ceilings, plain, hits, present, reliable = [], [], [], [], []
        for seed in range(max(studies // 3, 10)):
            rng = np.random.default_rng(seed)
            common, signal, noise = (smooth(rng.normal(size=(k, 100, 350))) for k in (1, n, n))
            a = np.array([first, *others])[:, None, None]
            z = zscore(np.sqrt(a) * common + np.sqrt(own) * signal + np.sqrt(1 - a - own) * noise, 2)
            found = shared_columns(z, np.ones(100), blocks, LEVEL)
            ceilings.append(np.nanmedian(found["ccmax"]))
            plain.append((z[0] * zscore(z[1:].mean(0), 1)).mean())
            known = np.isfinite(found["ccmax_lo"])
            hits.append(((found["ccmax_lo"] <= first**0.5) & (first**0.5 <= found["ccmax_hi"]))[known])
            present.append(known[np.isfinite(found["ccmax"])])
            reliable.append(found["reliable"])
        label = f"{n} subjects, {100 * first:g} % of the variance shared, of the others {range_of} %"
        label += f", {100 * own:g} % signal of each one's own" if own else ""
        if not first:
            yield label, "voxels called reliable", "at most 5 %", share(np.concatenate(reliable))
            continue
        what = (
            f"median CCmax, which repeats would give as {np.sqrt(first + own):.3f}" if own else "median CCmax"
        )
        yield label, what, f"{first**0.5:.3f}", f"{np.mean(ceilings):.3f}"
        yield label, "mean correlation with the mean of the others", "below", f"{np.mean(plain):.3f}"
        yield f"90% interval of CCmax, {label}", "holds it", "85 % or more", _over_studies(hits)
        yield f"voxels with a CCmax, {label}", "have an interval", "most", _over_studies(present)
