"""The language law at a fixed width: its models, sweep and law, added to those of the study."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voxscale.errors import UserError
from voxscale.models import ModelEntry
from voxscale.study.chief_laws import chief_laws


def arm_of(name: str) -> str:
    """Name of a law, or of its sweep, at the fixed width."""
    return f"{name}_fixed"


def add_arm(
    config: Mapping[str, Any], registry: Mapping[str, ModelEntry]
) -> tuple[Mapping[str, Any], Mapping[str, ModelEntry]]:
    """Config and registry with a model `<model>-pca<width>` for each of the first law of language models.

    Their modality is `derived`: their features are not extracted, and they do not affect which voxels are
    significant.
    Nothing is added when the config has no `plateau.width`.

    Raises:
        UserError: the study has no such law, a model is narrower, or a name is taken.
    """
    width = config["plateau"].get("width")
    if width is None:
        return config, registry
    where = "config key plateau.width"
    name = chief_laws(config, registry).get("language")
    if name is None:
        raise UserError(f"{where}: the study has no law of language models; add it, or leave width out")
    law = config["laws"][name]
    sweep, arm = law["sweep"], arm_of(law["sweep"])
    added = {}
    for model in config["sweeps"][sweep]["models"]:
        if (entry := registry.get(model)) is None:
            continue  # reported by the check of the sweep
        if (entry.width or 0) < width:
            raise UserError(f"{where}: {model} has {entry.width} features; lower the width, or leave it out")
        nothing = {"build": None, "hub": None, "path": None, "gguf_file": None}
        slug = f"{model}-pca{width}"
        added[slug] = replace(entry, slug=slug, modality="derived", source=model, width=width, **nothing)
    for made, taken in (
        (arm_of(name), config["laws"]),
        (arm, config["sweeps"]),
        *((slug, registry) for slug in added),
    ):
        if made in taken:
            raise UserError(f"{where}: adds {made}, but that name is taken; rename the other")
    spec = config["sweeps"][sweep] | {"models": list(added), "n_train": ["all"], "draws": 1}
    more = {
        "sweeps": config["sweeps"] | {arm: spec},
        "laws": config["laws"] | {arm_of(name): law | {"sweep": arm}},
    }
    return {**config, **more}, {**registry, **added}
