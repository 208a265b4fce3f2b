"""The controls of every study: features that no network is needed for, and untrained twins of its models."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from voxscale.dataset import Dataset
from voxscale.errors import UserError, hint
from voxscale.models import ModelEntry

SWEEP = "controls"


def add_controls(
    config: Mapping[str, Any], registry: Mapping[str, ModelEntry], dataset: Dataset
) -> tuple[Mapping[str, Any], Mapping[str, ModelEntry], list[str]]:
    """Config and registry with a sweep `controls`, and a sentence on each control that the data do not allow.

    A twin `<model>-untrained` has its model's shape and random weights; an entry of that name is taken as it
    is. Nothing is added to a study that has a sweep `controls` of its own.

    Raises:
        UserError: the config names a control that does not exist, or a model to twin that no sweep trains.
    """
    if SWEEP in config["sweeps"]:
        return config, registry, []
    models, notes = [], []
    for name in config["controls"]["features"]:
        if name not in registry or registry[name].modality != "control":
            known = [slug for slug, entry in registry.items() if entry.modality == "control"]
            raise UserError(f"config key controls.features: {name} is not a control; {hint(name, known)}")
        if lacking := _lacking(registry[name], dataset):
            notes.append(f"The control {name} is left out: {lacking}.")
        else:
            models.append(name)
    twins = {}
    for model in _to_be_twinned(config, registry):
        slug = f"{model}-untrained"
        twins[slug] = registry.get(slug) or replace(registry[model], slug=slug, untrained=True)
    models += twins
    if models:
        spec = {
            "models": models,
            "layers": {"depth": 0.75},
            "subjects": "all",
            "n_train": ["all"],
            "draws": 1,
        }
        config = {**config, "sweeps": config["sweeps"] | {SWEEP: spec}}
    return config, {**registry, **twins}, notes


def _lacking(entry: ModelEntry, dataset: Dataset) -> str | None:
    """Why the dataset lacks what a control needs; None if it has everything."""
    for story in dataset.stories:
        if entry.hears and not dataset.has_sound(story):
            return f"{dataset.audio(story)} does not exist"
        if entry.control == "phoneme_rate" and not dataset.has_phones(story):
            return f"{dataset.transcript(story)} has no phones"
    return None


def _to_be_twinned(config: Mapping[str, Any], registry: Mapping[str, ModelEntry]) -> Iterator[str]:
    """Models that get an untrained twin.

    ASSUME: size matters little without training, and the largest models cost most, so that the smallest and
    the middle one of a family (the lower of two) stand for the rest.
    """
    wanted = config["controls"]["untrained"]
    named = dict.fromkeys(model for sweep in config["sweeps"].values() for model in sweep["models"])
    networks = {m: registry[m] for m in named if m in registry and registry[m].has_network}
    trained = {model: entry for model, entry in networks.items() if not entry.untrained}
    if isinstance(wanted, list):
        for model in wanted:
            if model not in trained:
                raise UserError(
                    f"config key controls.untrained: {model} is not a trained model in a sweep; "
                    f"{hint(model, trained)}"
                )
        yield from wanted
    elif wanted == "all":
        yield from trained
    elif wanted == "sample":
        families: dict[tuple[str, str], list[str]] = {}
        for model, entry in trained.items():
            families.setdefault((entry.modality, entry.family), []).append(model)
        for family in families.values():
            ranked = sorted(family, key=lambda model: (trained[model].width or 0, trained[model].n_layers))
            yield from dict.fromkeys((ranked[0], ranked[(len(ranked) - 1) // 2]))
