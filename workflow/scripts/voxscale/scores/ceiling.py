"""Noise ceiling of each voxel from the repeats of the test stories.

Signal power is the mean covariance of two different repeats, so noise that is independent between repeats
adds nothing to it on average, however few the repeats (Sahani & Linden 2003; Schoppe et al. 2016,
doi:10.3389/fncom.2016.00010). Everything is computed from the repeats x repeats covariances of a voxel.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset import SubjectResponses, open_subject, require_common
from voxscale.io import tables
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.scores.shared import read_shared, shared_columns
from voxscale.statistics import skipped_trs

_RELIABLE = 0.9  # coverage of the interval that decides; that of the intervals shown can be another


def repeat_covariances(repeats: Sequence[np.ndarray]) -> np.ndarray:
    """(voxels, repeats, repeats) float64 covariance over time of every two repeats, story means taken out.

    Of the test stories (repeats, voxels, TRs); divided by the TRs of all.
    """
    total, trs = 0.0, 0
    for story in repeats:
        x = story.astype(np.float64)
        x = np.moveaxis(x - x.mean(2, keepdims=True), 1, 0)  # (voxels, repeats, TRs)
        total = total + x @ np.swapaxes(x, 1, 2)
        trs += x.shape[2]
    return total / trs


def _powers(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signal power and noise power of one repeat: (voxels,) each; signal power may come out below 0."""
    n = covariances.shape[-1]
    own = np.trace(covariances, axis1=-2, axis2=-1)
    signal = (covariances.sum((-2, -1)) - own) / (n * (n - 1))
    return signal, own / n - signal


def ccmax(share: np.ndarray, n: int) -> np.ndarray:
    """Correlation of a perfect model with the mean of n repeats, from the share of signal in one repeat.

    sqrt(SP / (SP + NP/n)); NaN where the share is not above 0: the ceiling is undefined there.
    """
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(share > 0, n * share / (1 + (n - 1) * share), np.nan))


def _intervals(covariances: np.ndarray, level: float) -> tuple[np.ndarray, ...]:
    """Intervals of the signal power P and of the ceiling: lo, hi of each, (voxels,).

    The covariance of two repeats is the signal power, plus the chance covariance of each one's noise with the
    signal (of variance a), plus that of the two noises (of variance b). The mean covariance of n repeats has
    variance 4a/n + 2b/(n(n - 1)). The scatter of the covariances about the means of their repeats gives b.
    An interval holds every P that is not further from the estimate than its own variance allows (a score
    interval, as Wilson's for a proportion): where there is no signal, a is 0. A jackknife takes b for a there
    and is too wide; resampling repeats with replacement pairs a repeat with itself and raises every signal
    power.

    CCmax² = 1 - N/M, with N the noise power and M = nP + N, whose errors are independent: the variances of
    their logarithms add.

    ASSUME: the signal varies as fast as the noise, so that a = bP/N; if the signal is smoother by 6 TRs, the
    coverage of an interval is some 2 % lower (measured).

    Returns:
        NaN with fewer than three repeats; an end of a ceiling that is not above 0 is 0.
    """
    from scipy import special

    n = covariances.shape[-1]
    if n < 3:
        return tuple(np.full((4, len(covariances)), np.nan))
    apart = ~np.eye(n, dtype=bool)
    signal, noise = _powers(covariances)
    noise = np.maximum(noise, 1e-30)
    scatter = np.where(apart, covariances - signal[:, None, None], 0.0)
    free = n * (n - 1) // 2 - 1
    if n > 3:  # with three, the repeats' means would use up all degrees of freedom
        own = scatter.sum(2) / (n - 2)
        scatter = np.where(apart, scatter - own[:, :, None] - own[:, None, :], 0.0)
        free = n * (n - 3) // 2
    b = (scatter**2).sum((1, 2)) / 2 / free
    reach = special.stdtrit(min(free, n - 1), 0.5 + level / 2)
    # (estimate - P)² = reach² (least + slope P), with P at least 0 in the variance.
    least, slope = 2 * b / (n * (n - 1)), 4 * b / (n * noise)
    middle, flat = signal + reach**2 * slope / 2, reach * np.sqrt(least)
    root = np.sqrt(np.maximum(middle**2 - signal**2 + flat**2, 0.0))
    lo = np.where(signal < flat, signal - flat, middle - root)
    hi = np.where(signal < -flat, signal + flat, middle + root)
    ratio = np.maximum(1 + n * signal / noise, 1e-30)  # M/N
    at = np.maximum(ratio, 1.0)
    error = reach * np.sqrt(2 * b / noise**2 * ((2 * at - 1) / at**2 + 1 / (n - 1)))
    ends = (np.maximum(np.log(ratio) + off, 0.0) for off in (-error, error))
    return lo, hi, *(np.sqrt(-np.expm1(-end)) for end in ends)


def _repeat_agreement(covariances: np.ndarray) -> np.ndarray:
    """Correlation of each repeat with the mean of the others: (voxels, repeats)."""
    own = np.diagonal(covariances, axis1=1, axis2=2)  # (voxels, repeats)
    row = covariances.sum(2)
    others = covariances.sum((1, 2))[:, None] - 2 * row + own  # variance of the others' sum
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((own > 0) & (others > 0), (row - own) / np.sqrt(own * others), np.nan)


def ceiling_columns(
    repeats: Sequence[np.ndarray], level: float = 0.9, floor: float | None = None
) -> dict[str, np.ndarray]:
    """Noise ceiling of some voxels.

    ASSUME: a voxel is reliable if the 90% interval of its signal power lies above 0; in other voxels a
    normalised score would be divided by noise. With `floor`, no voxel is masked and lower ceilings are set to
    it.

    Args:
        repeats: for each test story (repeats, voxels, TRs), the first seconds already left out.
        level: of the intervals.

    Returns:
        columns of table `ceiling` without subject and voxel, and `agreement` (voxels, repeats).
    """
    covariances = repeat_covariances(repeats)
    n = covariances.shape[-1]
    signal, noise = _powers(covariances)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(signal + noise > 0, signal / (signal + noise), np.nan)  # unbiased
    lo, hi, ccmax_lo, ccmax_hi = _intervals(covariances, level)
    # A constant voxel, or one with NaN, has no ceiling at all.
    dead = ~(signal + noise > 0)
    agreement = _repeat_agreement(covariances)
    trend = np.arange(n) - (n - 1) / 2
    columns = {
        "n_repeats": np.full(len(signal), n),
        "signal_power": signal,
        "signal_power_lo": lo,
        "signal_power_hi": hi,
        "noise_power": noise,
        "explainable": share,
        "ccmax": ccmax(share, n),
        "ccmax_lo": ccmax_lo,
        "ccmax_hi": ccmax_hi,
        "drift": agreement @ trend / (trend @ trend),
        "reliable": (_intervals(covariances, _RELIABLE)[0] > 0) & ~dead,
    }
    if floor is not None:
        columns["ccmax"] = np.fmax(columns["ccmax"], floor)
        columns["reliable"] = ~dead
    for name, values in columns.items():
        if values.dtype.kind == "f":
            columns[name] = np.where(dead, np.nan, values)
    return columns | {"agreement": agreement}


def _empty(voxels: int) -> dict[str, np.ndarray]:
    schema = tables.SCHEMAS["ceiling"]
    columns = {name: np.full(voxels, np.nan) for name in schema.names[2:]}
    return columns | {"n_repeats": np.zeros(voxels, int), "reliable": np.zeros(voxels, bool)}


def _repeats(subject: SubjectResponses, part: slice, skip: int) -> list[np.ndarray]:
    return [subject.repeats(story, part)[:, :, skip:] for story in subject.ceiling_stories]


def write_ceiling(
    responses: str | Path,
    output: str | Path,
    drift: str | Path,
    subject: str,
    settings: Mapping[str, Any],
    regions: Mapping[int, str] | None = None,
    others: Sequence[str | Path] = (),
    step: int = 4096,
) -> None:
    """Write tables `ceiling` and `drift` of one subject.

    Args:
        responses: `results/responses/<subject>.h5`.
        settings: skip_s, tr_s, floor (or None), interval; kind, if it is not `repeats`, with block_trs and,
            for `subjects`, ceiling_stories.
        others: responses of the other subjects, for `subjects`.
        regions: voxel -> region, for the drift table; without it the table has only region `all`.
        step: number of voxels in memory at a time.
    """
    source, kind = open_subject(responses), settings.get("kind", "repeats")
    skip, level, floor = skipped_trs(settings), settings["interval"], settings.get("floor")
    group = [source, *map(open_subject, others)]
    require_common(group)
    columns: dict[str, list[np.ndarray]] = {}
    for start in bar(range(0, source.n_voxels, step), "ceiling"):
        part = slice(start, min(start + step, source.n_voxels))
        found = _empty(part.stop - part.start)
        if kind == "subjects":
            found |= shared_columns(*read_shared(group, part, settings, skip), level, floor)
        elif kind == "repeats" and (repeats := _repeats(source, part, skip)):
            found = ceiling_columns(repeats, level, floor)
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
    most = max((source.n_repeats(story) for story in source.test_stories), default=0)
    if kind == "repeats" and most < 3:
        print(
            f"WARNING {subject}: its test stories have {most} repeats; a noise ceiling needs 2, and 3 to "
            "show which voxels are reliable",
            file=sys.stderr,
        )
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    agreement = whole.pop("agreement", np.empty((source.n_voxels, 0)))
    provenance = collect(settings=dict(settings))
    voxels = {"subject": [subject] * source.n_voxels, "voxel": source.voxels}
    tables.write("ceiling", voxels | whole, output, provenance)
    tables.write(
        "drift", _drift_rows(subject, source.voxels, agreement, whole["reliable"], regions), drift, provenance
    )


def _drift_rows(
    subject: str,
    voxels: np.ndarray,
    agreement: np.ndarray,
    reliable: np.ndarray,
    regions: Mapping[int, str] | None,
) -> list[dict[str, Any]]:
    """Mean agreement of each repeat over the reliable voxels of each region."""
    region = np.array([(regions or {}).get(int(voxel)) or "" for voxel in voxels])
    sets = {"all": reliable} | {name: reliable & (region == name) for name in sorted(set(region) - {""})}
    return [
        {
            "subject": subject,
            "roi": name,
            "repeat": repeat + 1,
            "r": float(np.nanmean(agreement[inside, repeat])),
            "n_voxels": int(inside.sum()),
        }
        for name, inside in sets.items()
        if np.isfinite(agreement[inside]).any()
        for repeat in range(agreement.shape[1])
    ]
