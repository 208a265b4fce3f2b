"""Stacks and layers beside the phantom's truth.

Words alone drive language voxels, sound alone auditory ones, both mixed ones. Words and sound are drawn to be
strangers, so that nothing is shared. How much tiny models explain is not known, but where it belongs is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from voxscale.phantom.validation_checks import near, statement

# ASSUME: the loudness of a voice tells a little of its words, and a weight of none is found as a little above
# none: a part may be off by a tenth of what is explained in all, a weight by a tenth.
SLACK = 0.1
OTHER = {"language": "speech", "auditory": "language"}  # region -> what has no part in it


def check_stacking(
    voxels: pd.DataFrame, stacking: pd.DataFrame, weights: pd.DataFrame, modality: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Checks of unique and shared variance and of the stack's weights, and the orders that they must have.

    Args:
        voxels: the truth of every voxel.
        stacking, weights: tables `stacking` and `stacking_weights`.
        modality: model -> language or speech.

    Returns:
        checks and statements; none where the stack lacks a language or a speech member.
    """
    region = voxels[["subject", "voxel", "region"]]
    keys = ["subject", "voxel"]
    parts = stacking.dropna(subset=["r2_joint"]).merge(region, on=keys)
    of_speech = weights[weights.model.map(modality) == "speech"].groupby(keys, as_index=False).weight.sum()
    parts = parts.merge(of_speech, on=keys)
    checks, statements = [], []
    for subject, mine in parts.groupby("subject"):
        regions = dict(list(mine.groupby("region")))
        mean = mine.groupby("region")[["weight", "unique_language", "unique_speech", "r2_joint"]].mean()
        wanted = [("silent", f"unique to {kind}", 0.0, f"unique_{kind}", 0.0) for kind in OTHER.values()]
        for region in ("language", "auditory", "mixed"):
            slack = SLACK * mean.r2_joint.get(region, np.nan)
            wanted.append((region, "shared variance", 0.0, "shared", slack))
            if other := OTHER.get(region):
                wanted.append((region, f"unique to {other}", 0.0, f"unique_{other}", slack))
                wanted.append((region, "weight of speech", float(other == "language"), "weight", SLACK))
        for region, name, truth, column, slack in wanted:
            if region in regions:
                values = regions[region][column].dropna().to_numpy()
                checks.append(near(f"{region} voxels, {name}", subject, truth, values, slack))
        if {"mixed", *OTHER} <= set(regions):
            for kind in OTHER.values():
                told = f"mixed voxels: a part unique to {kind} models"
                part, least = mean[f"unique_{kind}"]["mixed"], SLACK * mean.r2_joint["mixed"]
                statements.append(statement(told, subject, part, least))
            for more, less in (("mixed", "language"), ("auditory", "mixed")):
                told = f"weight of speech models: {more} above {less} voxels"
                statements.append(statement(told, subject, mean.weight[more], mean.weight[less]))
    return checks, statements


def check_layers(layers: pd.DataFrame, cards: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Whether the layer without noise is the one that cross-validation inside training chooses.

    Args:
        layers: table `layers` over the voxels that the latent drives.
        cards: model cards; those with several layers of known noise are looked at.
    """
    statements = []
    for card in cards:
        noise = card.get("noise") or [0.0]
        for subject, mine in layers[layers.model == card["model"]].groupby("subject"):
            if len(noise) > 1 and mine.layer.nunique() > 1:
                score = mine.set_index("layer").mean_cv_r
                best = int(np.argmin(noise))
                told = f"{card['model']}: layer {best}, without noise, above the other layers"
                statements.append(statement(told, subject, score[best], score.drop(best).max()))
    return statements
