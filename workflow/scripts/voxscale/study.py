"""A study: its checked config, its models, its dataset and its grid, known before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxscale.config import complete, merge, read_yaml
from voxscale.grid import Cell, Grid


@dataclass(frozen=True)
class Study:
    """Everything the rules ask of a study.

    Args:
        config: complete, see `voxscale.config.complete`.
        registry: model entries by slug.
        dataset: where the stories and scans are.
    """

    config: Mapping[str, Any]
    registry: Mapping[str, Any]
    dataset: Any

    @classmethod
    def load(cls, config: Mapping[str, Any], folder: Path) -> Study:
        """Check a config and put the study together.

        Args:
            config: as Snakemake read it.
            folder: the workflow's `config/`, with schema, presets and models.

        Raises:
            UserError: anything in the config that cannot work, in one line.
        """
        from voxscale.dataset import open_dataset
        from voxscale.models import load_registry

        full = complete(config, folder / "schema.yaml", folder / "presets.yaml")
        registry = load_registry(merge(read_yaml(folder / "models.yaml"), full["models"]))
        study = cls(full, registry, open_dataset(full["dataset"], folder))
        study._check()
        return study

    def _check(self) -> None:
        """Walk everything that the rules will ask for, so that a mistake shows before the first job."""
        self.dataset.check()
        self.grid.cells()
        for law in self.config["laws"]:
            self.law_cells(law)
        for subject in self.subjects:
            self.stacking_cells(subject)

    @cached_property
    def subjects(self) -> list[str]:
        """Subjects in the config's order."""
        return list(self.config["dataset"]["subjects"])

    @cached_property
    def grid(self) -> Grid:
        """The cells of all sweeps."""
        training = {subject: self.dataset.training(subject) for subject in self.subjects}
        return Grid(self.config["sweeps"], self.registry, training)

    @cached_property
    def stories(self) -> list[str]:
        """Every story that any subject heard and the study uses."""
        return self.dataset.stories

    def models_of(self, *modalities: str) -> list[str]:
        """Slugs of the used models of these modalities."""
        return [slug for slug in self.grid.used_models if self.registry[slug].modality in modalities]

    def law_cells(self, law: str) -> list[Cell]:
        """Cells whose scores a law is fitted to."""
        return self.grid.cells(self.config["laws"][law]["sweep"])

    def stacking_cells(self, subject: str) -> list[Cell]:
        """Member cells of one subject's stack, at its full training size."""
        size = len(self.grid.training[subject])
        cells = []
        for member in self.config["stacking"]["members"]:
            (layer,) = self.grid.layers(member["model"], member["layer"], "stacking.members")
            cells.append(Cell(member["model"], layer, subject, size))
        return cells

    def feature_settings(self, model: str) -> dict[str, Any]:
        """What of the config changes a model's features."""
        features = self.config["features"]
        kind = {"language": "text", "speech": "speech"}.get(self.registry[model].modality, "control")
        return features[kind] | {key: features[key] for key in ("device", "device_map", "on_disk")}

    def fit_settings(self) -> dict[str, Any]:
        """What of the config changes a fit."""
        dataset = self.config["dataset"]
        return {
            **self.config["encoding"],
            **self.config["scoring"],
            "tr_s": dataset["tr_s"],
            "trim": dataset["trim"],
        }

    def cell(self, **wildcards: str) -> Cell:
        """The cell that a job's wildcards name."""
        return Cell(
            wildcards["model"], int(wildcards["layer"]), wildcards["subject"], int(wildcards["n_train"])
        )
