"""Simulated stories that are shifted, and simulated pairs of models: parts of `validate_intervals.py`."""

from collections.abc import Iterator

import numpy as np
import simulated_lags
from law_studies import LEVEL, Row, share
from simulated_study import smooth

from voxscale.scores import comparison
from voxscale.scores.lags import ALL
from voxscale.statistics import TimeBlocks, block_sums, blocks_of


def lags(studies: int) -> Iterator[Row]:
    """Is a shifted story found, and no other?"""
    late = {"one story of 8 late by 4 s": {"s0": 4.0}, "one story of 8 early by 6 s": {"s0": -6.0}}
    for share_of, name in ((0.1, "10 %"), (0.05, "5 %")):
        for what, shifts in late.items():
            found = [
                simulated_lags.judged(stories=8, trs=200, share=share_of, late_s=shifts, seed=seed)
                for seed in range(studies)
            ]
            label = f"{what}, word rate in {name} of the variance of half of 60 voxels"
            near = [abs(one["s0"]["best_s"] - shifts["s0"]) <= 1 for one in found]
            yield label, "its best shift is within 1 s of the truth", "about 100 %", share(np.array(near))
            surely = [one["s0"]["misaligned"] for one in found]
            yield label, "a warning of it", "the more, the more signal", share(np.array(surely))
            yield label, "a warning of any other story", "at most 5 %", share(_others(found))
    for share_of, name in ((0.1, "word rate in 10 % of the variance"), (0.0, "noise only")):
        found = [
            simulated_lags.judged(stories=8, trs=200, share=share_of, seed=seed) for seed in range(studies)
        ]
        yield f"8 aligned stories, {name}", "a warning of any story", "at most 5 %", share(_others(found, ""))
    whole = {f"s{i}": 6.0 for i in range(8)}
    found = [simulated_lags.judged(stories=8, trs=200, late_s=whole, seed=seed) for seed in range(studies)]
    near = [abs(one[ALL]["best_s"] - 6) <= 1 and one[ALL]["misaligned"] for one in found]
    label = "all of 8 stories late by 6 s, word rate in 10 % of the variance"
    yield label, "a warning of all stories, within 1 s of the truth", "about 100 %", share(np.array(near))


def _others(found: list[dict[str, dict]], but: str = "s0") -> np.ndarray:
    """Whether any story but one is found to be misaligned: (studies,) bool."""
    return np.array([any(one[story]["misaligned"] for story in one if story != but) for one in found])


def comparisons(studies: int) -> Iterator[Row]:
    """Does the interval of a difference of two models hold the truth, and is p as often small as it says?"""
    sets, settings = {"all": np.ones(60, bool)}, {"skip_s": 0, "tr_s": 2.0, "interval": LEVEL, "seed": 0}
    settings |= {"draws": 300, "permutations": 500}
    rng = np.random.default_rng(8)
    for trs in (100, 300):
        for r, gap in ((0.0, 0.0), (0.6, 0.0), (0.5, 0.2)):
            one, mean = {"lo": [], "hi": [], "p": []}, {"lo": [], "hi": [], "p": []}
            for _ in range(studies):
                # Both hold a part of what drives the voxels and, beside it, noise of their own.
                drive = smooth(rng.normal(size=(3, 60, trs + 50)))
                parts = np.sqrt([0.5 * r**2, 0.5 * r**2, 0.5 * ((r + gap) ** 2 - r**2)])
                noise = smooth(rng.normal(size=(60, trs + 50)) + 0.65 * rng.normal(size=trs + 50))
                own = smooth(rng.normal(size=(2, 60, trs + 50)))
                seen = [drive[0] * parts[0], drive[0] * parts[0] + drive[2] * parts[2]]
                power = [parts[0] ** 2, parts[0] ** 2 + parts[2] ** 2]
                # With as much noise, a model of power p has r = sqrt(p / 2) with responses of variance 1.
                predicted = [s / np.sqrt(p or 1) + e for s, p, e in zip(seen, power, own, strict=True)]
                left = 1 - np.sum(parts**2)
                observed = np.einsum("d,dvt->vt", parts, drive) + np.sqrt(left / 1.4225) * noise
                blocks = blocks_of({"t": trs}, 10)
                cells = [_Cell(block_sums(each, observed, blocks), blocks) for each in predicted]
                found, means, n_voxels = comparison.compare(cells, sets, settings)
                for key in one:
                    one[key].append(found[key])
                    mean[key].append(comparison.set_rows(means, n_voxels, len(blocks.n), settings)[0][key])
            first, second = np.sqrt(np.array(power) / 2)
            what = f"two models of r = {first:.2f} and {second:.2f}, {trs} test TRs"
            wanted = "at most about 5 %" if gap == 0 else "the more, the more TRs"
            for name, values in (("a voxel", one), ("a mean over 60 voxels", mean)):
                lo, hi, p = (np.ravel(values[key]) for key in ("lo", "hi", "p"))
                held = (lo < first - second) & (first - second < hi)
                label = f"difference of {name}, {what}"
                yield f"90% interval of the {label}", "holds the truth", "85–95 %", share(held)
                yield label, "p ≤ 0.05", wanted, share(p <= 0.05)


class _Cell:
    """Moments of one draw, as `MomentsFile` has them."""

    n_draws = 1

    def __init__(self, sums: np.ndarray, blocks: TimeBlocks) -> None:
        self.sums, self.blocks, self.n_voxels = sums, blocks, sums.shape[2]

    def read(self, draw: int, kept: np.ndarray, step: int) -> Iterator[tuple[slice, np.ndarray]]:
        yield slice(0, self.n_voxels), self.sums[kept]
