"""Which results can be exported as images, and from which files each follows."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxscale.encoding import CELL_FILES
from voxscale.errors import UserError, hint
from voxscale.jobs import analysis
from voxscale.provenance import hash_config
from voxscale.study import Cell, Study

WHAT = ("scores", "differences", "ceilings", "layers", "regions")
# Names of exports, which are parts of paths.
EXPORT_NAMES = r"model-[a-z0-9._-]+_layer-(?:\d+|best)_n-\d+|comparison-\w[\w-]*|desc-(?:ceiling|regions)"
_CELL = re.compile(r"model-(.+)_layer-(\d+|best)_n-(\d+)")
_TABLES = {output: path for rule in analysis.RULES for output, path in rule.outputs.items()}


@dataclass(frozen=True)
class Export:
    """The images of one kind of result of one subject.

    Args:
        kind: one of `WHAT`.
        name: of files and target.
        cells: fits whose scores are shown.
        tables: further tables that it follows from, by kind; `voxels` is that of the dataset.
    """

    kind: str
    subject: str
    name: str
    cells: tuple[Cell, ...] = ()
    tables: dict[str, str] = field(default_factory=dict)

    @property
    def scores(self) -> list[str]:
        """Table `scores` of each cell."""
        return [CELL_FILES["scores"].format(**cell._asdict()) for cell in self.cells]

    def settings(self, study: Study) -> dict[str, Any]:
        """What the images depend on besides files."""
        models = {cell.model for cell in self.cells} & study.registry.keys()
        return {
            "kind": self.kind,
            "subject": self.subject,
            "name": self.name,
            "cells": [list(cell) for cell in self.cells],
            "fdr": study.config["scoring"]["fdr"],
            "n_layers": max((study.registry[model].n_layers for model in models), default=0),
        }

    def require(self) -> None:
        """Make sure that the results are there.

        Raises:
            UserError: a file is missing; the line names the target that makes it.
        """
        for path in [*self.scores, *self.tables.values()]:
            if not Path(path).exists():
                target = f"results/export/{self.subject}/{self.name}"
                raise UserError(
                    f"{path}: is not made yet; run the study, or type `snakemake {target}` with its config, "
                    "which makes what is missing and then these images"
                )


def of_cell(cell: Cell) -> Export:
    """Scores of one cell."""
    tables = {"ceiling": _TABLES["ceiling"].format(subject=cell.subject)}
    name = f"model-{cell.model}_layer-{cell.layer}_n-{cell.n_train}"
    return Export("scores", cell.subject, name, (cell,), tables)


def _best_layers(study: Study, subject: str) -> Iterator[Export]:
    """The layer profile of each model and training size."""
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in study.profile_cells:
        if cell.subject == subject:
            found.setdefault((cell.model, cell.n_train), []).append(cell)
    for (model, n_train), cells in found.items():
        yield Export("layers", subject, f"model-{model}_layer-best_n-{n_train}", tuple(sorted(cells)))


def exports_of(study: Study, subject: str) -> Iterator[Export]:
    """What is exported of a subject, of scores those of the brain maps."""
    yield from (of_cell(cell) for cell in study.map_cells if cell.subject == subject)
    for name in study.config["comparisons"]:
        if subject in study.comparison(name):
            table = _TABLES["comparison"].format(comparison=name)
            yield Export("differences", subject, f"comparison-{name}", tables={"comparison": table})
    if study.ceiling_kind == "subjects" or (
        study.ceiling_kind == "repeats" and study.dataset.has_repeats(subject)
    ):
        ceiling = {"ceiling": _TABLES["ceiling"].format(subject=subject)}
        yield Export("ceilings", subject, "desc-ceiling", tables=ceiling)
    yield from _best_layers(study, subject)
    table = study.voxel_tables().get(subject)
    if table and (study.dataset.regions is None or study.dataset.regions):
        yield Export("regions", subject, "desc-regions", tables={"voxels": table})


def export_named(study: Study, subject: str, maps: str) -> Export:
    """The export that a target names.

    Raises:
        UserError: the study has no such result.
    """
    known = {export.name: export for export in exports_of(study, subject)}
    cell = _CELL.fullmatch(maps)
    if maps not in known and cell and cell[2] != "best":
        wanted = Cell(cell[1], int(cell[2]), subject, int(cell[3]))
        if wanted in study.grid.draws or wanted in study.banded_cells:
            return of_cell(wanted)
    if maps not in known:
        raise UserError(f"results/export/{subject}/{maps}: the study has no such result; {hint(maps, known)}")
    return known[maps]


def chosen_exports(
    study: Study,
    what: str,
    subject: str | None = None,
    model: str | None = None,
    layer: int | None = None,
    n_train: int | None = None,
    comparison: str | None = None,
) -> list[Export]:
    """Exports of one kind that options of the command line choose; without options, those of `exports_of`.

    Raises:
        UserError: a name is unknown, or more than one layer is meant.
    """
    _require(what, WHAT, "what to export")
    given = {"model": model, "layer": layer, "n-train": n_train, "comparison": comparison}
    for option, value in given.items():
        if value is not None and option not in _OPTIONS.get(what, ()):
            raise UserError(f"--{option}: is not an option of {what}; leave it out")
    if model is None and (layer is not None or n_train is not None):
        raise UserError("--model: is missing; name the model whose layer or training size this is")
    if subject:
        _require(subject, study.subjects, "--subject")
    subjects = [subject] if subject else study.subjects
    if comparison:
        _require(comparison, study.config["comparisons"], "--comparison")
    if what == "scores" and model:
        return [of_cell(_one_cell(study, each, model, layer, n_train)) for each in subjects]
    found = [export for each in subjects for export in exports_of(study, each) if export.kind == what]
    if comparison:
        found = [export for export in found if export.name == f"comparison-{comparison}"]
    if model:
        _require(model, [cell.model for export in found for cell in export.cells], "--model")
        found = [export for export in found if any(cell.model == model for cell in export.cells)]
    if not found:
        raise UserError(f"{what}: {_LACKING[what]}")
    return found


_OPTIONS = {"scores": ("model", "layer", "n-train"), "layers": ("model",), "differences": ("comparison",)}
_LACKING = {
    "scores": "no model of the config's maps is fitted to this subject; name one by --model",
    "differences": "the config compares no models of this subject; name two under comparisons",
    "ceilings": "the study has no noise ceiling (config key ceiling.kind)",
    "layers": "the config profiles no layers of this subject; name a sweep in profiles.sweep",
    "regions": "no voxel has a region; config key dataset.voxels names a table with column roi",
}


def _require(name: str | int, known: Iterable[str | int], where: str) -> None:
    names = dict.fromkeys(map(str, known))
    if str(name) not in names:
        raise UserError(f"{where}: {name} is not there; {hint(str(name), names, listed=True)}")


def _one_cell(study: Study, subject: str, model: str, layer: int | None, n_train: int | None) -> Cell:
    """The fit of a model that is meant: with all training stories, at the maps' layer, if nothing is said."""
    cells = [cell for cell in [*study.grid.draws, *study.banded_cells] if cell.subject == subject]
    _require(model, sorted({cell.model for cell in cells}), "--model")
    cells = [cell for cell in cells if cell.model == model]
    size = max(cell.n_train for cell in cells) if n_train is None else n_train
    _require(size, sorted({cell.n_train for cell in cells}), "--n-train")
    cells = sorted(cell for cell in cells if cell.n_train == size)
    if layer is None:
        cells = [cell for cell in cells if cell in study.map_cells] or cells
    else:
        _require(layer, [cell.layer for cell in cells], "--layer")
        cells = [cell for cell in cells if cell.layer == layer]
    if len(cells) > 1:
        layers = ", ".join(str(cell.layer) for cell in cells)
        raise UserError(f"--layer: {model} is fitted at the layers {layers}; name one")
    return cells[0]


def export_means(study: Study) -> dict[str, Any]:
    """Where the data are, and the digest of the config."""
    return {"dataset": study.config["dataset"], "config": hash_config(study.config)}
