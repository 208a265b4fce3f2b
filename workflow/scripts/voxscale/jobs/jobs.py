"""The jobs of a study and the output of each, without Snakemake's graph of them.

A graph of ten thousand jobs takes from seconds to minutes; from the grid the same jobs are listed at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from voxscale.jobs.prices import Prices
from voxscale.jobs.resources import Need
from voxscale.study import Cell, Study

CELL = "model={model}/layer={layer}/subject={subject}/n_train={n_train}"
# The output by which a job is known to be done, as the rules write it.
OUTPUTS = {
    "fetch_dataset": "results/dataset/{part}.json",
    "write_phantom_stimuli": "results/phantom-truth/stimuli.json",
    "scan_phantom": "results/phantom-truth/{subject}.json",
    "read_story": "results/stories/{story}/words.parquet",
    "digest_sounds": "results/subjects/{subject}-sounds.json",
    "describe_subject": "results/subjects/{subject}.parquet",
    "digest_responses": "results/subjects/{subject}-responses.json",
    "prepare_responses": "results/responses/{subject}.h5",
    "place_voxels": "results/voxels/{subject}.tsv",
    "estimate_ceiling": "results/ceiling/{subject}.parquet",
    "prepare_model": "results/models/{model}.json",
    "extract_language_features": "results/features/{model}.h5",
    "extract_speech_features": "results/features/{model}.h5",
    "extract_control_features": "results/features/{model}.h5",
    "extract_derived_features": "results/features/{model}.h5",
    "fit_encoding": f"results/scores/{CELL}/scores.parquet",
    "predict_encoding": f"results/predictions/{CELL}.h5",
    "fit_banded": "results/banded/{banded}/subject={subject}/n_train={n_train}/bands.parquet",
    "describe_banded": "results/models/banded-{banded}.json",
    "stack_models": "results/stacking/{subject}.parquet",
    "gather_scores": "results/tables/{selection}/scores.parquet",
    "fit_law": "results/laws/{law}.parquet",
    "fit_joint": "results/laws/joint/law.parquet",
    "analyse_plateau": "results/laws/plateau/points.parquet",
    "profile_layers": "results/tables/layers.parquet",
    "measure_room": "results/tables/room.parquet",
    "measure_artifact": "results/tables/artifact.parquet",
    "validate_phantom": "results/validation.json",
    "write_report": "results/report.html",
}
FIGURE = "results/figures/{name}.png"
# Jobs of a stage write into the same folders; a user thinks of disk by stage.
STAGES = {
    "data": (
        "fetch_dataset",
        "write_phantom_stimuli",
        "scan_phantom",
        "read_story",
        "digest_sounds",
        "describe_subject",
        "digest_responses",
        "prepare_responses",
        "place_voxels",
    ),
    "features": (
        "prepare_model",
        *(f"extract_{kind}_features" for kind in ("language", "speech", "control", "derived")),
    ),
    "fits": ("fit_encoding", "predict_encoding", "fit_banded", "describe_banded"),
    "analysis": (
        "estimate_ceiling",
        "gather_scores",
        "stack_models",
        "fit_law",
        "fit_joint",
        "analyse_plateau",
        "profile_layers",
        "measure_room",
        "measure_artifact",
        "validate_phantom",
    ),
}


class Job(NamedTuple):
    """One job: its rule and its wildcards."""

    rule: str
    wildcards: Mapping[str, str]

    @property
    def output(self) -> Path:
        """The output that says it is done."""
        if self.rule.startswith("draw_"):
            return Path(FIGURE.format(name=self.rule.removeprefix("draw_")))
        return Path(OUTPUTS[self.rule].format(**self.wildcards))

    @property
    def log(self) -> Path:
        """Where the rule's script writes its log."""
        return Path(f"results/logs/{self._name}.log")

    @property
    def benchmark(self) -> Path:
        """Where Snakemake writes down what a job took, when the job's script has come to its end."""
        return Path(f"results/benchmarks/{self._name}.jsonl")

    @property
    def _name(self) -> str:
        name = CELL if "layer" in self.wildcards else "/".join(self.wildcards.values()) or "all"
        return f"{self.rule}/{name.format(**self.wildcards)}"

    @property
    def comment(self) -> str:
        """What the executor for SLURM calls it in the queue."""
        values = "_".join(self.wildcards.values())
        return f"rule_{self.rule}" + (f"_wildcards_{values}" if values else "")


@dataclass
class Jobs:
    """All jobs of a study.

    Args:
        study: complete; relative paths are looked up in the working directory.
    """

    study: Study
    prices: Prices = field(init=False)

    def __post_init__(self) -> None:
        self.prices = Prices(self.study)

    def need(self, job: Job) -> Need:
        """What one job takes.

        Raises:
            UserError: it cannot be done with the config's memory.
        """
        return self.prices.need(job.rule, job.wildcards)

    def all(self) -> Iterator[Job]:
        """Every job of the study, in about the order of their work."""
        study = self.study
        heard = any(study.hears(model) for model in study.grid.used_models)
        if study.dataset.kind == "ds003020":
            placed = study.subjects if study.dataset.places_voxels else []
            surfaces = [f"pycortex-{subject}" for subject in placed if study.dataset.voxels(subject)]
            parts = ["transcripts", *(["sounds"] if heard else []), *study.subjects, *surfaces]
            yield from (Job("fetch_dataset", {"part": part}) for part in parts)
        if study.dataset.kind == "phantom":
            yield Job("write_phantom_stimuli", {})
            yield from (Job("scan_phantom", {"subject": subject}) for subject in study.subjects)
        yield from (Job("read_story", {"story": story}) for story in study.stories)
        sounds = ("digest_sounds",) if heard else ()
        for rule in (*sounds, "describe_subject", "digest_responses", "prepare_responses"):
            yield from (Job(rule, {"subject": subject}) for subject in study.subjects)
        if study.dataset.places_voxels:
            yield from (Job("place_voxels", {"subject": subject}) for subject in study.voxel_tables())
        yield from (Job("estimate_ceiling", {"subject": subject}) for subject in study.subjects)
        yield from (Job("prepare_model", {"model": model}) for model in study.grid.used_models)
        for model in study.grid.used_models:
            yield Job(study.extractors(model)[0], {"model": model})
        yield from (Job("fit_encoding", _wildcards(cell)) for cell in study.grid.cells())
        for name in study.config["banded"]:
            yield Job("describe_banded", {"banded": name})
            for subject in study.subjects:
                size = len(study.grid.training[subject])
                yield Job("fit_banded", {"banded": name, "subject": subject, "n_train": str(size)})
        stacked = dict.fromkeys(cell for s in study.subjects for cell in study.stacking_cells(s))
        yield from (Job("predict_encoding", _wildcards(cell)) for cell in stacked)
        if stacked:
            yield from (Job("stack_models", {"subject": subject}) for subject in study.subjects)
        yield from (Job("gather_scores", {"selection": name}) for name in self.gathered)
        yield from (Job("fit_law", {"law": law}) for law in study.config["laws"])
        yield from (Job("fit_joint", {}) for _ in range(bool(study.joint_cells)))
        yield from (Job("analyse_plateau", {}) for _ in range(bool(study.plateau_arms)))
        yield from (Job("profile_layers", {}) for _ in range(bool(study.profile_cells)))
        yield Job("measure_room", {})
        yield Job("measure_artifact", {})
        if study.dataset.kind == "phantom" and "nested" in study.config["laws"]:
            yield Job("validate_phantom", {})
        yield from (Job(f"draw_{figure}", {}) for figure in study.figures)
        yield Job("write_report", {})

    @cached_property
    def gathered(self) -> list[str]:
        """Selections of cells that any other rule asks for."""
        sweeps = [law["sweep"] for law in self.study.config["laws"].values()]
        others = [self.study.profile_sweep, self.study.config["joint"].get("sweep")]
        return list(dict.fromkeys(["all", "maps", *sweeps, *filter(None, others)]))


def _wildcards(cell: Cell) -> dict[str, str]:
    return {key: str(value) for key, value in cell._asdict().items()}
