"""The chief law of each kind: the variable and models of a law decide its kind, not its name."""

from collections.abc import Mapping
from typing import Any

from voxscale.models import ModelEntry

KINDS = ("language", "speech", "training")
OF_DATA = ("hours", "stories", "trs")


def kind(law: str, config: Mapping[str, Any], registry: Mapping[str, ModelEntry]) -> str | None:
    """`training` for a law of data, `language` or `speech` for one of the size of such models, else None."""
    spec = config["laws"][law]
    if spec["x"] in OF_DATA:
        return "training"
    models = config["sweeps"].get(spec["sweep"], {"models": []})["models"]
    modalities = {registry[model].modality for model in models if model in registry}
    return modalities.pop() if len(modalities) == 1 and modalities <= set(KINDS) else None


def chief_laws(config: Mapping[str, Any], registry: Mapping[str, ModelEntry]) -> dict[str, str]:
    """The first law of each kind in the config's order, by kind: the one that figures and report show."""
    found: dict[str, str] = {}
    for law in config["laws"]:
        if of := kind(law, config, registry):
            found.setdefault(of, law)
    return {of: found[of] for of in KINDS if of in found}
