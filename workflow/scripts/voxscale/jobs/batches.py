"""Which cells are fitted by one job: a batch of one model and one subject, worth some minutes.

A batch is all that the grid has of a range of layers and a range of training sizes, which its wildcards
name. So a job knows its cells from its wildcards, also where prices have changed since they were planned.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from voxscale.io import read_json, write_json
from voxscale.jobs.fit_device import decided_encoding
from voxscale.jobs.resources import fit_time
from voxscale.jobs.sizes import Sizes
from voxscale.study import Cell, Study

_KEPT = Path(".snakemake/voxscale-batches.json")
_following: list[Path] = []  # where this process finds the batches of its run
Batch = Mapping[str, str]  # the wildcards of a job: model, subject, layers, n_trains


def batches_of(study: Study) -> list[Batch]:
    """The batches of a study, in the order of its grid."""
    return list({id(batch): batch for batch in _planned(study).values()}.values())


def batches_with(study: Study, cells: Iterable[Cell]) -> list[Batch]:
    """The batches that some cells are in, each once."""
    planned = _planned(study)
    return list({id(batch): batch for batch in map(planned.__getitem__, cells)}.values())


def cells_in(study: Study, batch: Batch) -> list[Cell]:
    """The cells of a batch, by layer and training size."""
    return _cells_in(study, batch["model"], batch["subject"], batch["layers"], batch["n_trains"])


@functools.cache
def _cells_in(study: Study, model: str, subject: str, *ranges: str) -> list[Cell]:
    layers, sizes = map(_range, ranges)
    mine = _cells(study).get((model, subject), [])
    return [cell for cell in mine if cell.layer in layers and cell.n_train in sizes]


@functools.cache
def _cells(study: Study) -> dict[tuple[str, str], list[Cell]]:
    """Model, subject -> their cells, by layer and training size."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in study.grid.cells():
        found.setdefault((cell.model, cell.subject), []).append(cell)
    return {about: sorted(cells) for about, cells in found.items()}


def keep_batches(study: Study) -> None:
    """Let the jobs of the run that begins have its batches, whatever they find where they run."""
    write_json(_KEPT, {"batches": batches_of(study)})


def follow_batches() -> None:
    """Let this process, a job, take the batches of its run: a node without SLURM may price otherwise."""
    _following.append(_KEPT)


def _kept(study: Study) -> dict[Cell, Batch] | None:
    """The batch of each cell as the run has it; None if it has not said so, or not of these cells."""
    if not any(path.exists() for path in _following):
        return None
    batches = read_json(_KEPT)["batches"]
    found = {cell: batch for batch in batches for cell in cells_in(study, batch)}
    return found if found.keys() == study.grid.draws.keys() else None


@functools.cache
def _planned(study: Study) -> dict[Cell, Batch]:
    """The batch of each cell."""
    if (kept := _kept(study)) is not None:
        return kept
    sizes, least = Sizes(study, before=True), 60.0 * study.config["encoding"]["job_minutes"]
    found = {}
    for (model, subject), cells in _cells(study).items():
        by_layer: dict[int, dict[Cell, float]] = {}
        for cell in cells:
            by_layer.setdefault(cell.layer, {})[cell] = _seconds(sizes, cell)
        worth = {layer: sum(mine.values()) for layer, mine in by_layer.items()}
        deepest = max(study.registry[model].n_layers, cells[-1].layer)
        for layers in _blocks(worth, range(1 << deepest.bit_length()), least):
            mine = {cell: each for layer in layers for cell, each in by_layer.get(layer, {}).items()}
            stories = range(1, study.grid.stories[subject] + 1)
            for group in _groups(mine, stories, least) if len(layers) == 1 else [stories]:
                names = _name(layers[: deepest + 1 - layers[0]]), _name(group)
                batch = {"model": model, "subject": subject, "layers": names[0], "n_trains": names[1]}
                found |= {cell: batch for cell in mine if cell.n_train in group}
    return found


def _seconds(sizes: Sizes, cell: Cell) -> float:
    return _seconds_of(sizes, sizes.width(cell.model), cell.subject, cell.n_train, sizes.n_fits(cell))


@functools.cache
def _seconds_of(sizes: Sizes, width: int, subject: str, n_train: int, draws: int) -> float:
    scoring = sizes.study.config["scoring"]
    shape = sizes.longest(subject, n_train), sizes.fold_test_trs(subject), width, sizes.voxels(subject)
    how = decided_encoding(sizes.study), draws, scoring["block_trs"], scoring["permutations"]
    return fit_time(*shape, *how)[0]


def _blocks(worth: Mapping[int, float], layers: range, least: float) -> Iterator[range]:
    """Split a range of layers into halves while one of them is worth a job of its own.

    A layer that is added changes its own block only.

    Args:
        worth: seconds of each layer.
    """
    here = {layer: worth[layer] for layer in layers if layer in worth}
    halves = [sum(each for layer, each in here.items() if layer in half) for half in _halves(layers)]
    if len(layers) > 1 and max(halves) >= least:
        for half in _halves(layers):
            yield from _blocks(here, half, least)
    elif here:
        yield layers


def _halves(layers: range) -> tuple[range, range]:
    middle = len(layers) // 2
    return layers[:middle], layers[middle:]


def _groups(seconds: Mapping[Cell, float], stories: range, least: float) -> Iterator[range]:
    """Ranges of training sizes, the small ones together until they are worth a job."""
    first, worth = stories[0], 0.0
    for cell, each in seconds.items():
        worth += each
        if worth >= least and cell.n_train < stories[-1]:
            yield range(first, cell.n_train + 1)
            first, worth = cell.n_train + 1, 0.0
    yield range(first, stories[-1] + 1)


def _name(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


def _range(name: str) -> range:
    first, _, last = name.partition("-")
    return range(int(first), int(last or first) + 1)
