"""Checks of results against the phantom's truth.

A check is a number whose interval must hold its true value; a statement is an order of two numbers that
follows from the truth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

# Standard errors within which a mean over voxels must be of its truth: one false alarm in a thousand.
_STANDARD_ERRORS = 3.3
_P = 0.05  # of the significance test whose false positives are counted
TRUE_FORM = "log_linear"  # of the nested family
# ASSUME: the loudness of a voice depends a little on its words, and a weight of 0 is estimated as a little
# above 0: a part may be off by a tenth of the explained variance, a weight by a tenth.
_SLACK = 0.1
_OTHER = {"language": "speech", "auditory": "language"}  # region -> modality that does not drive it


@dataclass
class Findings:
    """Checks (check, subject, truth, estimate, low, high, inside) and statements (subject, statement, larger,
    smaller, holds) so far.
    """

    checks: list[dict[str, Any]] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)

    @property
    def hold(self) -> bool:
        """Whether all checks and statements hold."""
        return all(row["inside"] for row in self.checks) and all(row["holds"] for row in self.statements)

    def check(self, name: str, subject: str, truth: float, estimate: float, low: float, high: float) -> None:
        """Add a number whose interval must hold its truth."""
        numbers = {"truth": truth, "estimate": estimate, "low": low, "high": high}
        row = {"check": name, "subject": subject} | {key: float(value) for key, value in numbers.items()}
        self.checks.append(row | {"inside": bool(low <= truth <= high)})

    def check_mean(
        self, name: str, subject: str, truth: float, values: np.ndarray, slack: float = 0.0
    ) -> None:
        """Add a mean of independent `values` that must be `truth`, within its standard error and `slack`."""
        mean = values.mean()
        half = _STANDARD_ERRORS * values.std(ddof=1) / np.sqrt(len(values)) + slack
        self.check(name, subject, truth, mean, mean - half, mean + half)

    def state(self, text: str, subject: str, larger: float, smaller: float) -> None:
        """Add an order of two numbers."""
        row = {"subject": subject, "statement": text, "larger": float(larger), "smaller": float(smaller)}
        self.statements.append(row | {"holds": bool(larger > smaller)})


def check_ceiling(found: Findings, voxels: pd.DataFrame, ceiling: pd.DataFrame, level: float) -> None:
    """The mean error of the noise ceiling, and how often its interval of `level` holds the truth.

    Args:
        voxels: the truth of every voxel.
        ceiling: subject, voxel, signal_power, noise_power, ccmax, ccmax_lo, ccmax_hi, reliable.
    """
    both = voxels.merge(ceiling, on=["subject", "voxel"], suffixes=("_true", ""))
    for subject, part in both.groupby("subject"):
        driven = part[(part.region != "silent") & part.reliable & np.isfinite(part.ccmax)]
        # ASSUME: CCmax is a curved function of the powers, which moves its mean by less than 0.01.
        off = driven.ccmax.to_numpy() - driven.cc_max.to_numpy()
        found.check_mean("ceiling, mean error", subject, 0.0, off, slack=0.01)
        inside = (driven.cc_max >= driven.ccmax_lo) & (driven.cc_max <= driven.ccmax_hi)
        # ASSUME: a signal smoother than its noise costs an interval some 0.02 (`scores.ceiling._intervals`).
        found.check_mean("ceiling, coverage", subject, level, inside.to_numpy(float), slack=0.02)
        silent = part[part.region == "silent"].signal_power.to_numpy()
        found.check_mean("silent signal power", subject, 0.0, silent[np.isfinite(silent)])


def check_form(found: Findings, fits: pd.DataFrame) -> None:
    """Whether the nested family's true form has the smallest AICc.

    Args:
        fits: subject, form, aicc.
    """
    for subject, part in fits.groupby("subject", sort=False):
        criterion = part.groupby("form").aicc.first().dropna()
        if TRUE_FORM in criterion and len(criterion) > 1:
            own, others = criterion[TRUE_FORM], criterion.drop(TRUE_FORM).min()
            found.state("nested law: AICc of other forms above the true one's", subject, others, own)


def check_regions(
    found: Findings, voxels: pd.DataFrame, scores: pd.DataFrame, modality: Mapping[str, str]
) -> None:
    """Which kind of model wins where, whether silent voxels are silent, and whether more training helps.

    Args:
        scores: model, layer, subject, n_train, draw, voxel, r, p.
        modality: model -> language or speech; models of other kinds are not compared.
    """
    both = scores.merge(voxels[["subject", "voxel", "region"]], on=["subject", "voxel"])
    both["modality"] = both.model.map(modality)
    for subject, part in both.groupby("subject"):
        full = part[part.n_train == part.n_train.max()]
        mean = full.groupby(["region", "modality", "model", "layer"]).r.mean()
        best = mean.groupby(["region", "modality"]).max()
        for region, winner, loser in (("language", "language", "speech"), ("auditory", "speech", "language")):
            if {(region, winner), (region, loser)} <= set(best.index):
                text = f"{region} voxels: {winner} models above {loser} models"
                found.state(text, subject, best[region, winner], best[region, loser])
        # Errors of voxels are independent, those of the cells of one voxel are not.
        silent = full[full.region == "silent"]
        mean_r = silent.groupby("voxel").r.mean().to_numpy()
        found.check_mean("silent voxels, mean r", subject, 0.0, mean_r[np.isfinite(mean_r)])
        tested = silent[silent.p.notna()]
        if len(tested):
            false = (tested.p <= _P).groupby(tested.voxel).mean().to_numpy()
            found.check_mean(f"silent voxels, share of p ≤ {_P}", subject, _P, false)
        language = part[(part.region == "language") & (part.modality == "language")]
        for (model, layer), cell in language.groupby(["model", "layer"]):
            curve = cell.groupby("n_train").r.mean().sort_index()
            for less, more in zip(curve.index[:-1], curve.index[1:], strict=True):
                text = f"{model} layer {layer}: {more} training stories above {less}"
                found.state(text, subject, curve[more], curve[less])


def check_stacking(
    found: Findings,
    voxels: pd.DataFrame,
    stacking: pd.DataFrame,
    weights: pd.DataFrame,
    modality: Mapping[str, str],
) -> None:
    """Unique and shared variance, the stack's weights, and the orders that they must have.

    Words alone drive language voxels, sound alone auditory ones, both mixed ones. Words and sound are drawn
    independently, so that they share no variance. How much tiny models explain is not known, but where is.

    Args:
        voxels: the truth of every voxel.
        stacking, weights: tables `stacking` and `stacking_weights`; nothing is checked where the stack lacks
            a language or a speech member.
    """
    keys = ["subject", "voxel"]
    parts = stacking.dropna(subset=["r2_joint"]).merge(voxels[[*keys, "region"]], on=keys)
    of_speech = weights[weights.model.map(modality) == "speech"].groupby(keys, as_index=False).weight.sum()
    parts = parts.merge(of_speech, on=keys)
    for subject, mine in parts.groupby("subject"):
        regions = dict(list(mine.groupby("region")))
        mean = mine.groupby("region")[["weight", "unique_language", "unique_speech", "r2_joint"]].mean()
        wanted = [("silent", f"unique to {kind}", 0.0, f"unique_{kind}", 0.0) for kind in _OTHER.values()]
        for region in ("language", "auditory", "mixed"):
            slack = _SLACK * mean.r2_joint.get(region, np.nan)
            wanted.append((region, "shared variance", 0.0, "shared", slack))
            if other := _OTHER.get(region):
                wanted.append((region, f"unique to {other}", 0.0, f"unique_{other}", slack))
                wanted.append((region, "weight of speech", float(other == "language"), "weight", _SLACK))
        for region, name, truth, column, slack in wanted:
            if region in regions:
                values = regions[region][column].dropna().to_numpy()
                found.check_mean(f"{region} voxels, {name}", subject, truth, values, slack)
        if {"mixed", *_OTHER} <= set(regions):
            for kind in _OTHER.values():
                text = f"mixed voxels: a part unique to {kind} models"
                found.state(text, subject, mean[f"unique_{kind}"]["mixed"], _SLACK * mean.r2_joint["mixed"])
            for more, less in (("mixed", "language"), ("auditory", "mixed")):
                text = f"weight of speech models: {more} above {less} voxels"
                found.state(text, subject, mean.weight[more], mean.weight[less])


def check_layers(found: Findings, layers: pd.DataFrame, cards: Iterable[Mapping[str, Any]]) -> None:
    """Whether the layer without noise is the one that cross-validation inside training chooses.

    Args:
        layers: table `layers` over the voxels that the latent drives.
        cards: model cards; those with several layers of known noise are checked.
    """
    for card in cards:
        noise = card.get("noise") or [0.0]
        for subject, mine in layers[layers.model == card["model"]].groupby("subject"):
            if len(noise) > 1 and mine.layer.nunique() > 1:
                score = mine.set_index("layer").mean_cv_r
                best = int(np.argmin(noise))
                text = f"{card['model']}: layer {best}, without noise, above the other layers"
                found.state(text, subject, score[best], score.drop(best).max())
