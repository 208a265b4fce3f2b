"""The cells that stand for a study, chosen by what their models are and never by their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxscale.errors import UserError, hint
from voxscale.models import ModelEntry
from voxscale.study.grid import Cell, Grid

MAPPED = ("language", "speech")


def models_of(grid: Grid, registry: Mapping[str, ModelEntry], *modalities: str) -> list[str]:
    """Slugs of the used models of these modalities."""
    return [slug for slug in grid.used_models if registry[slug].modality in modalities]


def widest(models: Sequence[str], registry: Mapping[str, ModelEntry]) -> str:
    """The widest trained model of a list, the last of equals."""
    trained = [model for model in models if not registry[model].untrained] or list(models)
    return max(reversed(trained), key=lambda model: registry[model].width)


def map_cells(grid: Grid, registry: Mapping[str, ModelEntry], named: Mapping[str, str]) -> list[Cell]:
    """The models of the brain maps, each at its sweep's layer and all training stories of a subject.

    Args:
        named: model of each modality, the config's `maps`; the widest of a modality that it does not name.

    Raises:
        UserError: a named model is of another modality, or fitted at full size by no sweep.
    """
    cells = []
    for modality in MAPPED:
        models = models_of(grid, registry, modality)
        model = named.get(modality, widest(models, registry) if models else None)
        if model is None:
            continue
        if model not in models:
            raise UserError(
                f"config key maps.{modality}: {model} is not a {modality} model of any sweep; "
                f"{hint(model, models)}"
            )
        full = [c for c in grid.cells() if c.n_train == len(grid.training[c.subject])]
        found = {cell.subject: cell for cell in reversed(full) if cell.model == model}
        if not found:
            raise UserError(
                f"config key maps.{modality}: no sweep fits {model} at full size; name one that is"
            )
        cells += [found[subject] for subject in grid.training if subject in found]
    if not cells:  # a study of controls alone shows its first
        full = [c for c in grid.cells() if c.n_train == len(grid.training[c.subject])]
        cells = [cell for cell in full if cell[:2] == full[0][:2]]
    return cells


def reference_cells(grid: Grid, registry: Mapping[str, ModelEntry], mapped: Sequence[Cell]) -> list[Cell]:
    """Cells whose significant voxels are the study's, one of each subject and modality.

    Args:
        mapped: cells of the brain maps; where a subject lacks one its reference is the widest model's at most
            training stories.
    """
    found: dict[tuple[str, str], Cell] = {}
    for modality in MAPPED:
        models = [model for model in models_of(grid, registry, modality) if not registry[model].untrained]
        rank = {model: (registry[model].width or 0, i) for i, model in enumerate(models)}
        # The last cell replaces earlier ones, so that a cell of the maps is always chosen.
        cells = [cell for cell in grid.cells() if cell.model in rank]
        cells.sort(key=lambda cell: (cell.n_train, rank[cell.model]))
        for cell in [*cells, *(cell for cell in mapped if cell.model in rank)]:
            found[cell.subject, modality] = cell
    return [found[key] for key in sorted(found)]
