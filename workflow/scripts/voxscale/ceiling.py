"""Noise ceiling of each voxel from the repeats of the test stories.

Signal power is the mean covariance of two different repeats, so noise that is independent between repeats
adds nothing to it on average, however few the repeats (Sahani & Linden 2003; Schoppe et al. 2016,
doi:10.3389/fncom.2016.00010). All that follows is a function of the repeats x repeats covariances of a voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale import tables
from voxscale.bootstrap import skipped_trs
from voxscale.progress import bar
from voxscale.provenance import collect
from voxscale.responses import SubjectResponses, open_subject


def repeat_covariances(repeats: Sequence[np.ndarray]) -> np.ndarray:
    """Covariance over time of every two repeats, story means taken out.

    Args:
        repeats: for each test story (repeats, voxels, TRs).

    Returns:
        (voxels, repeats, repeats) float64, divided by the TRs of all stories.
    """
    total, trs = 0.0, 0
    for story in repeats:
        x = story.astype(np.float64)
        x = np.moveaxis(x - x.mean(2, keepdims=True), 1, 0)  # (voxels, repeats, TRs)
        total = total + x @ np.swapaxes(x, 1, 2)
        trs += x.shape[2]
    return total / trs


def powers(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signal power and noise power of one repeat: (voxels,) each; signal power may come out below 0."""
    n = covariances.shape[-1]
    own = np.trace(covariances, axis1=-2, axis2=-1)
    signal = (covariances.sum((-2, -1)) - own) / (n * (n - 1))
    return signal, own / n - signal


def explainable(covariances: np.ndarray) -> np.ndarray:
    """Share of signal in one repeat's variance, SP/(SP + NP), with its bias taken out: (voxels,)."""
    signal, noise = powers(covariances)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(signal + noise > 0, signal / (signal + noise), np.nan)


def ccmax(share: np.ndarray, n: int) -> np.ndarray:
    """Correlation of a perfect model with the mean of n repeats, from the share of signal in one repeat.

    sqrt(SP / (SP + NP/n)); NaN where the share is not above 0: the ceiling is undefined there.
    """
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(share > 0, n * share / (1 + (n - 1) * share), np.nan))


def jackknife_interval(
    covariances: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Intervals of the signal power and of the share of signal, each repeat left out in turn.

    Resampling repeats with replacement pairs a repeat with itself, whose covariance holds its noise: that
    would raise every signal power. Leaving repeats out does not.

    Returns:
        lo and hi of the signal power, lo and hi of the share: (voxels,) each.
    """
    from scipy import special

    n = covariances.shape[-1]
    reach = special.stdtrit(n - 1, 0.5 + level / 2)
    left = [np.delete(np.delete(covariances, i, 1), i, 2) for i in range(n)]
    found = []
    for statistic in (lambda c: powers(c)[0], explainable):
        whole, parts = statistic(covariances), np.array([statistic(c) for c in left])
        error = np.sqrt((n - 1) / n * ((parts - parts.mean(0)) ** 2).sum(0))
        found += [whole - reach * error, whole + reach * error]
    return found[0], found[1], found[2], found[3]


def repeat_agreement(covariances: np.ndarray) -> np.ndarray:
    """Correlation of each repeat with the mean of the others: (voxels, repeats)."""
    n = covariances.shape[-1]
    own = np.diagonal(covariances, axis1=1, axis2=2)  # (voxels, repeats)
    row = covariances.sum(2)
    others = covariances.sum((1, 2))[:, None] - 2 * row + own  # variance of the others' sum
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.where((own > 0) & (others > 0), (row - own) / np.sqrt(own * others), np.nan) if n > 1 else own
        )


def ceiling_columns(
    repeats: Sequence[np.ndarray], level: float = 0.9, floor: float | None = None
) -> dict[str, np.ndarray]:
    """Ceiling of some voxels.

    ASSUME: a voxel is reliable when the interval of its signal power lies above 0; elsewhere a normalised
    score would divide by noise. With `floor` no voxel is masked and ceilings below it count as the floor.

    Args:
        repeats: for each test story (repeats, voxels, TRs), the first seconds already left out.
        level: of the intervals.

    Returns:
        columns of table `ceiling` but for subject and voxel, and `agreement` (voxels, repeats).
    """
    covariances = repeat_covariances(repeats)
    n = covariances.shape[-1]
    signal, noise = powers(covariances)
    share = explainable(covariances)
    # A constant voxel, or one with NaN, has no ceiling at all.
    dead = ~(signal + noise > 0)
    lo, hi, share_lo, share_hi = jackknife_interval(covariances, level)
    agreement = repeat_agreement(covariances)
    trend = np.arange(n) - (n - 1) / 2
    columns = {
        "n_repeats": np.full(len(signal), n),
        "signal_power": signal,
        "signal_power_lo": lo,
        "signal_power_hi": hi,
        "noise_power": noise,
        "explainable": share,
        "ccmax": ccmax(share, n),
        "ccmax_lo": ccmax(np.clip(share_lo, 1e-12, 1), n) * (share_lo > 0),
        "ccmax_hi": ccmax(np.clip(share_hi, 1e-12, 1), n) * (share_hi > 0),
        "drift": agreement @ trend / (trend @ trend),
        "reliable": (lo > 0) & ~dead,
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
    heard = [story for story in subject.test_stories if subject.n_repeats(story) > 1]
    # ASSUME: stories with fewer repeats than the most repeated one are left out: a ceiling is for one number.
    most = max((subject.n_repeats(story) for story in heard), default=0)
    return [subject.repeats(story, part)[:, :, skip:] for story in heard if subject.n_repeats(story) == most]


def estimate_ceiling(
    responses: str | Path,
    output: str | Path,
    drift: str | Path,
    subject: str,
    settings: Mapping[str, Any],
    regions: Mapping[int, str] | None = None,
    step: int = 4096,
) -> None:
    """Write tables `ceiling` and `drift` of one subject.

    Args:
        responses: `results/responses/<subject>.h5`.
        settings: skip_s, tr_s, floor (or None), interval.
        regions: voxel -> region, for the drift table; without it only region `all` is there.
        step: voxels held at a time.
    """
    source = open_subject(responses)
    skip = skipped_trs(settings)
    columns: dict[str, list[np.ndarray]] = {}
    for start in bar(range(0, source.n_voxels, step), "ceiling"):
        part = slice(start, min(start + step, source.n_voxels))
        repeats = _repeats(source, part, skip)
        found = (
            ceiling_columns(repeats, settings["interval"], settings.get("floor"))
            if repeats
            else _empty(part.stop - part.start)
        )
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
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
