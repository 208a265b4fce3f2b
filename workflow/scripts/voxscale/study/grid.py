"""The grid of a study: which model x layer x subject x n_train cells its sweeps ask for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from voxscale.errors import UserError, hint
from voxscale.models import ModelEntry


class Cell(NamedTuple):
    """One fit: the unit of the workflow's fan-out."""

    model: str
    layer: int
    subject: str
    n_train: int


def resolve_layers(spec: Any, model: str, held: Sequence[int], where: str = "sweeps") -> list[int]:
    """Layers that a config asks for: `all`, `last`, a list, one number, or `{depth: share}`.

    Args:
        held: layers of the model, ascending: 0, the embedding output, and those behind it, or those that own
            features have. The depth is relative to the last, and the nearest of them is taken.
        where: the config key that asks.

    Raises:
        UserError: a layer the model does not have.
    """
    if spec == "all":
        return list(held)
    if spec == "last":
        return [held[-1]]
    if isinstance(spec, Mapping):
        wanted = math.floor(spec["depth"] * held[-1] + 0.5)
        return [min(held, key=lambda layer: abs(layer - wanted))]
    layers = [spec] if isinstance(spec, int) else list(spec)
    if beyond := [layer for layer in layers if layer not in held]:
        whole = len(held) == held[-1] + 1
        there = f"0 to {held[-1]}" if whole else ", ".join(map(str, held))
        raise UserError(
            f"config key {where}: layer {beyond[0]} of model {model}, which has layers {there}; "
            "ask for one of these"
        )
    return layers


@dataclass(frozen=True)
class Grid:
    """All cells of a study.

    Args:
        sweeps: the config's `sweeps`, defaults filled in.
        models: the registry, by slug.
        stories: number of training stories of each subject that every fold has.
    """

    sweeps: Mapping[str, Mapping[str, Any]]
    models: Mapping[str, ModelEntry]
    stories: Mapping[str, int]

    def model(self, slug: str, where: str) -> ModelEntry:
        """Look up a model.

        Raises:
            UserError: the slug is not in the registry; the message names the config key that contains it.
        """
        if slug not in self.models:
            raise UserError(
                f"config key {where}: unknown model {slug}; add it under models: ({hint(slug, self.models)})"
            )
        return self.models[slug]

    def layers(self, slug: str, spec: Any, where: str) -> list[int]:
        """Layers of one model that a spec selects."""
        return resolve_layers(spec, slug, self.model(slug, where).all_layers, where)

    def _sizes(self, sweep: str, subject: str) -> list[int]:
        available = self.stories[subject]
        sizes = []
        for size in self.sweeps[sweep]["n_train"]:
            if size != "all" and size > available:
                raise UserError(
                    f"config key sweeps.{sweep}.n_train: {size} stories requested, "
                    f"but {subject} has {available} for training; lower it or use `all`"
                )
            sizes.append(available if size == "all" else size)
        return list(dict.fromkeys(sizes))

    def _expand(self, sweep: str) -> Iterable[tuple[Cell, int]]:
        spec = self.sweeps[sweep]
        subjects = list(self.stories) if spec["subjects"] == "all" else spec["subjects"]
        for subject in subjects:
            if subject not in self.stories:
                raise UserError(
                    f"config key sweeps.{sweep}.subjects: {subject} is not in dataset.subjects; add it there "
                    f"({hint(subject, self.stories)})"
                )
        subjects = [subject for subject in self.stories if subject in subjects]
        for slug in spec["models"]:
            self.model(slug, f"sweeps.{sweep}.models")
            for layer in self.layers(slug, spec["layers"], f"sweeps.{sweep}.layers"):
                for subject in subjects:
                    for size in self._sizes(sweep, subject):
                        # With every story in, there is nothing left to draw.
                        draws = 1 if size == self.stories[subject] else spec["draws"]
                        yield Cell(slug, layer, subject, size), draws

    @cached_property
    def draws(self) -> dict[Cell, int]:
        """Every cell of the study once, with the largest number of draws any sweep asks of it."""
        found: dict[Cell, int] = {}
        for sweep in self.sweeps:
            for cell, draws in self._expand(sweep):
                found[cell] = max(draws, found.get(cell, 0))
        return found

    def cells(self, sweep: str | None = None, where: str = "sweeps") -> list[Cell]:
        """Cells of one sweep, or of all.

        Raises:
            UserError: the sweep does not exist; the message names the config key that contains it.
        """
        if sweep is None:
            return list(self.draws)
        if sweep not in self.sweeps:
            raise UserError(f"config key {where}: unknown sweep {sweep}; {hint(sweep, self.sweeps)}")
        return [cell for cell, _ in self._expand(sweep)]

    @cached_property
    def used_models(self) -> list[str]:
        """Slugs of the models that any cell needs."""
        return list(dict.fromkeys(cell.model for cell in self.draws))

    def models_of(self, *modalities: str) -> list[str]:
        """Slugs of the used models of these modalities."""
        return [slug for slug in self.used_models if self.models[slug].modality in modalities]
