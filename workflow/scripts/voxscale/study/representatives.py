"""The cells that stand for a study, chosen by what their models are and never by their scores."""

from collections import Counter
from collections.abc import Mapping, Sequence

from voxscale.errors import UserError, hint
from voxscale.models import OWN
from voxscale.study.grid import Cell, Grid

MAPPED = ("language", "speech")


def _widest(models: Sequence[str], grid: Grid) -> str:
    """The widest trained model of a list, the last of equals."""
    trained = [model for model in models if not grid.models[model].untrained] or models
    return max(reversed(trained), key=lambda model: grid.models[model].width)


def _common_layer(cells: Sequence[Cell], grid: Grid) -> int:
    """The layer that a model has in most subjects.

    Of equals the first at which a sweep fits the model alone, else the middle one.
    """
    model, subjects = cells[0].model, Counter(cell.layer for cell in cells)
    most = [layer for layer in sorted(subjects) if subjects[layer] == max(subjects.values())]
    of_sweeps = ({cell.layer for cell in grid.cells(sweep) if cell.model == model} for sweep in grid.sweeps)
    alone = [layer for layers in of_sweeps if len(layers) == 1 for layer in layers if layer in most]
    return alone[0] if alone else most[len(most) // 2]


def map_cells(grid: Grid, named: Mapping[str, str]) -> list[Cell]:
    """The models of the brain maps, each at one layer and all training stories of a subject.

    The layer is that which most subjects have, so that a profile of all layers in one subject does not count.
    A study without models of language and speech shows its widest own features, or its first control.

    Args:
        named: model of each modality, the config's `maps`; the widest of a modality that it does not name.

    Raises:
        UserError: a named model is of another modality, or fitted at full size by no sweep.
    """
    cells, full = [], [c for c in grid.cells() if c.n_train == grid.stories[c.subject]]
    for modality in MAPPED:
        models = grid.models_of(modality)
        model = named.get(modality, _widest(models, grid) if models else None)
        if model is None:
            continue
        if model not in models:
            raise UserError(
                f"config key maps.{modality}: {model} is not a {modality} model of any sweep; "
                f"{hint(model, models)}"
            )
        there = [cell for cell in full if cell.model == model]
        if not there:
            raise UserError(
                f"config key maps.{modality}: no sweep fits {model} at full size; name one that is"
            )
        layer = _common_layer(there, grid)
        nearest = sorted(there, key=lambda cell: abs(cell.layer - layer))
        found = {cell.subject: cell for cell in reversed(nearest)}
        cells += [found[subject] for subject in grid.stories if subject in found]
    if not cells:
        own = [model for model in grid.models_of(*OWN) if any(cell.model == model for cell in full)]
        model, layer = full[0][:2]
        if own:
            model = _widest(own, grid)
            layer = _common_layer([cell for cell in full if cell.model == model], grid)
        cells = [cell for cell in full if cell[:2] == (model, layer)]
    return cells


def reference_cells(grid: Grid, mapped: Sequence[Cell], chosen_by: str) -> list[Cell]:
    """Cells whose significant voxels are the study's, one of each subject and reference model.

    Where models predict partly other voxels, a set that one of them chooses favours it, so by default all of
    them choose.

    Args:
        mapped: cells of the brain maps; a model or a subject that has none is represented by the middle one
            of the layers fitted to the most training stories.
        chosen_by: `models`: all trained models of language and speech, and own features; `maps`: of each
            modality the model of the maps, else the widest; own features only if there are no other models.
    """
    of_maps = chosen_by == "maps" and grid.models_of(*MAPPED)
    modalities = MAPPED if of_maps else (*MAPPED, *OWN)
    fitted: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in sorted(grid.cells(), key=lambda cell: (cell.n_train, cell.layer)):
        entry = grid.models[cell.model]
        if entry.modality in modalities and not entry.untrained:
            fitted.setdefault((cell.subject, entry.modality, cell.model), []).append(cell)
    found = {}
    for key, cells in fitted.items():
        most = [cell for cell in cells if cell.n_train == cells[-1].n_train]
        found[key] = next((cell for cell in most if cell in mapped), most[len(most) // 2])
    if chosen_by == "maps":
        place = {model: i for i, model in enumerate(grid.used_models)}

        def rank(key: tuple[str, str, str]) -> tuple[bool, int, int, int]:
            cell = found[key]
            return cell in mapped, cell.n_train, grid.models[cell.model].width or 0, place[cell.model]

        # The last of a subject and modality stands.
        found = {key[:2]: found[key] for key in sorted(found, key=rank)}
    return [found[key] for key in sorted(found)]
