"""Lag scan: do the words of each story and the responses to it belong to the same time?

For each story, ridge weights of the word rate are estimated on the other stories of the subject. They predict
the story's responses from its word rate, all words coming some seconds later or earlier. The score over these
shifts has its peak at 0 if words and responses are aligned like those of the other stories. A second curve,
of all stories together, is estimated anew at each shift: it has its peak where the delays of the study cover
most of the haemodynamic response, so that a wrong onset of all stories shows as well.

The score is a correlation over all voxels and TRs of a story, each voxel z-scored. Voxels that do not respond
to words have small weights, so that none need to be chosen. It needs words and responses only: no model.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset import SubjectResponses, open_subject
from voxscale.features import shifted_word_rate
from voxscale.io import tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.statistics import TimeBlocks, block_counts, blocks_of, correlations, interval
from voxscale.timeseries import zscore

SHIFTS = np.arange(-10.0, 11.0)  # s
ALL = "all stories"  # has a space: it can be the name of no story
_WRONG = 0.05  # largest share of aligned subjects of whom any story is warned of
_RIDGE = 1e-3  # of the variance of the word rate: delays overlap


@dataclass(frozen=True)
class Moments:
    """Of each block of a story's TRs and each shift, the sums that its score follows from.

    Args:
        blocks: of the story.
        sums: (blocks, 5, shifts), as `voxscale.statistics.block_sums`, added over voxels. Series are centred
            in the story before: the first two sums are 0.
    """

    blocks: TimeBlocks
    sums: np.ndarray


@dataclass(frozen=True)
class Story:
    """What the scan of a story needs, added over voxels; weights are those of the other stories.

    Args:
        z: (shifts, delays, TRs), see `delayed_rate`.
        blocks: of its TRs.
        products: (shifts, delays, TRs) of weights with responses.
        squares: (shifts, delays, delays) of weights with weights.
        power: (TRs,) of responses.
    """

    z: np.ndarray
    blocks: TimeBlocks
    products: np.ndarray
    squares: np.ndarray
    power: np.ndarray

    def moments(self, of: slice = slice(None)) -> Moments:
        """Moments with weights of other stories that are shifted as this one, or by the one shift `of`."""
        squares = np.broadcast_to(self.squares[of], self.squares.shape)
        predicted = np.einsum("sdt,sde,set->st", self.z, squares, self.z, optimize=True)
        power = np.broadcast_to(self.power, predicted.shape)
        sums = np.zeros((len(self.blocks.n), 5, len(self.z)))
        edges = np.concatenate([[0], np.cumsum(self.blocks.n)[:-1]])
        for row, values in ((2, predicted), (3, power), (4, (self.z * self.products[of]).sum(1))):
            sums[:, row] = np.add.reduceat(values, edges, axis=1).T
        return Moments(self.blocks, sums)


def delayed_rate(rate: np.ndarray, inside: np.ndarray, delays: Sequence[int]) -> np.ndarray:
    """Word rate at each shift and delay: (shifts, delays, response TRs) float32, centred, of variance 1.

    Args:
        rate: (shifts, clock TRs).
        inside: (clock TRs,) bool: TRs that the responses keep.
    """
    delayed = np.zeros((len(rate), len(delays), rate.shape[1]), np.float32)
    for i, delay in enumerate(delays):
        delayed[:, i, delay:] = rate[:, : rate.shape[1] - delay]
    delayed = delayed[..., inside]
    delayed -= delayed.mean(-1, keepdims=True)
    deviation = delayed.std()
    return delayed / deviation if deviation > 0 else delayed


def scan(
    responses: SubjectResponses, rates: Mapping[str, np.ndarray], block_trs: int, step: int = 1024
) -> dict[str, Story]:
    """Weights of the word rate in all stories but one, at each shift, and what they predict in that one.

    Args:
        rates: story -> (shifts, delays, TRs), see `delayed_rate`.
        step: voxels in memory at a time.
    """
    found, grams = {}, {story: np.einsum("sdt,set->sde", z, z).astype(float) for story, z in rates.items()}
    for story, z in rates.items():
        sums = np.zeros(z.shape), np.zeros(grams[story].shape), np.zeros(z.shape[-1])
        found[story] = Story(z, blocks_of({story: z.shape[-1]}, block_trs), *sums)
    whole = sum(grams.values())
    ridge = _RIDGE * whole[_place(0.0)].diagonal().mean() * np.eye(whole.shape[-1])
    inverse = {
        story: np.linalg.pinv(whole - gram + ridge, hermitian=True).astype(np.float32)
        for story, gram in grams.items()
    }
    for start in bar(range(0, responses.n_voxels, step), "lags"):
        part = slice(start, min(start + step, responses.n_voxels))
        y = {story: np.nan_to_num(zscore(responses.read(story, part), 1)) for story in rates}
        covariance = {
            story: np.moveaxis((y[story] @ z.reshape(-1, z.shape[-1]).T).reshape(-1, *z.shape[:2]), 1, 0)
            for story, z in rates.items()
        }  # (shifts, v, delays)
        total = sum(covariance.values())
        for story, own in found.items():
            weights = (total - covariance[story]) @ inverse[story]
            flat = np.moveaxis(weights, 1, 0).reshape(len(y[story]), -1)
            own.products[:] += (flat.T @ y[story]).reshape(own.products.shape)
            own.squares[:] += np.swapaxes(weights, 1, 2) @ weights
            own.power[:] += np.einsum("vt,vt->t", y[story], y[story])
    return found


def join(parts: Sequence[Moments]) -> Moments:
    """Moments of several stories, which have one score."""
    fields = ("n", "story", "start_tr")
    blocks = TimeBlocks(*(np.concatenate([getattr(part.blocks, name) for part in parts]) for name in fields))
    return Moments(blocks, np.concatenate([part.sums for part in parts]))


def _place(shift_s: float) -> int:
    """Where a shift is among `SHIFTS`."""
    return int(np.searchsorted(SHIFTS, shift_s))


def judge(
    moments: Moments, others_s: float, margin_s: float, wrong: float, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The best shift of a story, whether it is surely another than that of others, and the whole curve.

    It is, if the interval of the best shift lies beyond that of others and the score there is surely above 0:
    some shift is the best in noise, too.

    Args:
        others_s: s; the best shift of others.
        margin_s: s; on both sides of it count as the same.
        wrong: largest share of aligned stories that may be found to be misaligned.
        settings: draws, seed, interval.

    Returns:
        columns of tables `lags` and `lag_curves`.
    """
    n_blocks, level = len(moments.blocks.n), settings["interval"]
    counts = block_counts(n_blocks, settings["draws"], settings["seed"])
    r = correlations(moments.sums, moments.blocks, counts)  # (resamples, shifts)
    lo, hi = interval(r[0], r[1:], level, n_blocks)
    found = {"best_s": np.nan, "best_lo": np.nan, "best_hi": np.nan, "r_best": np.nan, "misaligned": False}
    if np.isfinite(r).all():
        place = r.argmax(1)
        best, shifts = place[0], SHIFTS[place]
        ends = np.clip(interval(shifts[0], shifts[1:], level, n_blocks), SHIFTS[0], SHIFTS[-1])
        first, last = interval(shifts[0] - others_s, shifts[1:] - others_s, 1 - wrong, n_blocks)
        # Each shift is one chance more to be above 0 by chance.
        least, _ = interval(r[0, best], r[1:, best], 1 - 2 * wrong / len(SHIFTS), n_blocks)
        # ASSUME: neighbouring shifts, such as 0 and 1 s, are one.
        apart = abs(shifts[0] - others_s) > SHIFTS[1] - SHIFTS[0] and (first > margin_s or last < -margin_s)
        found = {"best_s": shifts[0], "best_lo": ends[0], "best_hi": ends[1], "r_best": r[0, best]}
        found |= {"misaligned": bool(apart and least > 0)}
    found |= {"others_s": others_s, "r_others": r[0, _place(others_s)]}
    return found, {"shift_s": SHIFTS, "r": r[0], "lo": lo, "hi": hi}


def _warn(subject: str, row: Mapping[str, Any], check: str) -> None:
    """One line, which the report repeats."""
    shift = f"{abs(row['best_s']):g} s {'later' if row['best_s'] > 0 else 'earlier'}"
    others = "the other stories" if row["others_s"] else "without a shift"
    scores = f"score {row['r_best']:.3f}, {others} {row['r_others']:.3f}"
    what = f"word rate predicts the responses best if all words come {shift} ({scores}); check {check}"
    print(f"WARNING {subject}, {row['story']}: {what}", file=sys.stderr)


def judge_stories(
    responses: SubjectResponses, rates: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """`judge` of each story and of all together, under the name `ALL`.

    Args:
        rates: of at least two stories, see `delayed_rate`.
        settings: tr_s, block_trs, draws, seed, interval.
    """
    stories = scan(responses, rates, settings["block_trs"])
    # A shift of all stories by up to a TR may be in the haemodynamic response, or in what a TR's time means.
    whole = judge(join([one.moments() for one in stories.values()]), 0.0, settings["tr_s"], _WRONG, settings)
    # Of a wrong onset of all stories only one warning says so.
    others_s = whole[0]["best_s"] if whole[0]["misaligned"] else 0.0
    at = _place(others_s)
    judged = {
        story: judge(one.moments(slice(at, at + 1)), others_s, 0.0, _WRONG / len(stories), settings)
        for story, one in stories.items()
    }
    return judged | {ALL: whole}


def write_lags(
    responses: str | Path,
    stories: Sequence[str],
    words: Sequence[str | Path],
    clocks: Sequence[str | Path],
    output: str | Path,
    curves: str | Path,
    subject: str,
    settings: Mapping[str, Any],
) -> None:
    """Write tables `lags` and `lag_curves` of one subject, and warn of stories that are not aligned.

    Args:
        responses: `results/responses/<subject>.h5`.
        words, clocks: tables of these names of each of `stories`, at least two.
        settings: as for `judge_stories`, and delays.
    """
    source, rates = open_subject(responses), {}
    for story, said, clock in zip(stories, words, clocks, strict=True):
        inside = tables.read("clock", clock, ["in_response"])["in_response"].to_numpy()
        rates[story] = delayed_rate(shifted_word_rate(said, clock, SHIFTS), inside, settings["delays"])
    rows, points = [], []
    for story, (found, curve) in judge_stories(source, rates, settings).items():
        names = {"subject": subject, "story": story}
        role = "all" if story == ALL else "test" if story in source.test_stories else "train"
        n_tr = sum(source.n_trs(one) for one in stories if story in (one, ALL))
        rows.append({**names, "role": role, "n_tr": n_tr, **found})
        points += [names | dict(zip(curve, row, strict=True)) for row in zip(*curve.values(), strict=True)]
        if found["misaligned"]:
            one = "the times of its words, and which TR of its responses is the first"
            _warn(subject, rows[-1], "dataset.tr_s, onsets and encoding.delays" if story == ALL else one)
    provenance = collect(settings=dict(settings))
    tables.write("lags", rows, output, provenance)
    tables.write("lag_curves", points, curves, provenance)
