"""The laws that are drawn: the variable and models of a law decide its kind, not its name."""

from collections.abc import Mapping
from typing import Any

from voxscale.laws import DATA, SIZES
from voxscale.models import OWN, ModelEntry

KINDS = ("language", "speech", "training")


def kind(law: str, config: Mapping[str, Any], registry: Mapping[str, ModelEntry]) -> str | None:
    """What a law is of.

    Returns:
        `training`: amount of data; `language`, `speech`: size of such models; `own`: a column of the user's
        own, or models with own features; else None.
    """
    spec = config["laws"][law]
    if spec["x"] in DATA:
        return "training"
    models = config["sweeps"].get(spec["sweep"], {"models": []})["models"]
    modalities = {registry[model].modality for model in models if model in registry}
    if spec["x"] not in SIZES or modalities & set(OWN):
        return "own"
    return modalities.pop() if len(modalities) == 1 and modalities <= set(KINDS) else None


def chief_laws(config: Mapping[str, Any], registry: Mapping[str, ModelEntry]) -> dict[str, str]:
    """The first law of each kind in the config's order, by kind: the one that figures and report show."""
    found: dict[str, str] = {}
    for law in config["laws"]:
        if of := kind(law, config, registry):
            found.setdefault(of, law)
    return {of: found[of] for of in KINDS if of in found}


def own_laws(config: Mapping[str, Any], registry: Mapping[str, ModelEntry]) -> list[str]:
    """Laws over columns of the user's own or of own features: each has a figure."""
    return [law for law in config["laws"] if kind(law, config, registry) == "own"]
