"""The jobs of a study, what each needs and whether its output is there, without Snakemake's graph of them.

A graph of ten thousand jobs takes from seconds to minutes; from the grid the same jobs are listed at once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from voxscale import resources
from voxscale.errors import UserError
from voxscale.grid import Cell
from voxscale.resources import Need
from voxscale.study import Study

GPU_RULES = ("extract_language_features", "extract_speech_features")
CELL = "model={model}/layer={layer}/subject={subject}/n_train={n_train}"
# The output by which a job is known to be done, as the rules write it.
OUTPUTS = {
    "fetch_dataset": "results/dataset/{part}.json",
    "write_phantom": "results/phantom-truth/truth.json",
    "read_story": "results/stories/{story}/words.parquet",
    "describe_subject": "results/subjects/{subject}.parquet",
    "prepare_responses": "results/responses/{subject}.h5",
    "estimate_ceiling": "results/ceiling/{subject}.parquet",
    "prepare_model": "results/models/{model}.json",
    "extract_language_features": "results/features/{model}.h5",
    "extract_speech_features": "results/features/{model}.h5",
    "extract_control_features": "results/features/{model}.h5",
    "fit_encoding": f"results/scores/{CELL}/scores.parquet",
    "predict_encoding": f"results/predictions/{CELL}.h5",
    "stack_models": "results/stacking/{subject}.parquet",
    "gather_scores": "results/tables/{selection}/scores.parquet",
    "fit_law": "results/laws/{law}.parquet",
    "profile_layers": "results/tables/layers.parquet",
    "measure_artifact": "results/tables/artifact.parquet",
    "validate_phantom": "results/validation.json",
    "write_report": "results/report.html",
}
FIGURE = "results/figures/{name}.png"
# Jobs of a stage write into the same folders; a user thinks of disk by stage.
STAGES = {
    "data": ("fetch_dataset", "write_phantom", "read_story", "describe_subject", "prepare_responses"),
    "features": (
        "prepare_model",
        *(f"extract_{kind}_features" for kind in ("language", "speech", "control")),
    ),
    "fits": ("fit_encoding", "predict_encoding"),
    "analysis": (
        "estimate_ceiling",
        "gather_scores",
        "stack_models",
        "fit_law",
        "profile_layers",
        "measure_artifact",
        "validate_phantom",
    ),
}
EXTRACTING = {"language": "language", "speech": "speech", "control": "control", "nested": "control"}
VOXELS = 100_000  # ASSUME: of a subject whose files do not tell before they are there
STORY_TRS = 300  # ASSUME: of a story before it is there
WORDS_PER_MINUTE = 140
REPEATS = 10


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
        name = CELL if "n_train" in self.wildcards else "/".join(self.wildcards.values()) or "all"
        return Path(f"results/logs/{self.rule}/{name.format(**self.wildcards)}.log")

    @property
    def comment(self) -> str:
        """What the executor for SLURM calls it in the queue."""
        values = "_".join(self.wildcards.values())
        return f"rule_{self.rule}" + (f"_wildcards_{values}" if values else "")


@dataclass(frozen=True, eq=False)  # two studies are never compared; so it can be cached by identity
class Jobs:
    """All jobs of a study.

    Args:
        study: complete; relative paths are looked up in the working directory.
    """

    study: Study
    _needs: dict[tuple[Any, ...], Need] = field(default_factory=dict)

    gpu_rules = GPU_RULES

    # ---- which

    def all(self) -> Iterator[Job]:
        """Every job of the study, in about the order of their work."""
        study = self.study
        if study.dataset.kind == "ds003020":
            heard = any(study.registry[m].modality != "language" for m in study.grid.used_models)
            parts = ["transcripts", *(["sounds"] if heard else []), *study.subjects]
            yield from (Job("fetch_dataset", {"part": part}) for part in parts)
        if study.dataset.kind == "phantom":
            yield Job("write_phantom", {})
        yield from (Job("read_story", {"story": story}) for story in study.stories)
        for rule in ("describe_subject", "prepare_responses", "estimate_ceiling"):
            yield from (Job(rule, {"subject": subject}) for subject in study.subjects)
        yield from (Job("prepare_model", {"model": model}) for model in study.grid.used_models)
        for model in study.grid.used_models:
            kind = EXTRACTING[study.registry[model].modality]
            yield Job(f"extract_{kind}_features", {"model": model})
        yield from (Job("fit_encoding", _wildcards(cell)) for cell in study.grid.cells())
        stacked = dict.fromkeys(cell for s in study.subjects for cell in study.stacking_cells(s))
        yield from (Job("predict_encoding", _wildcards(cell)) for cell in stacked)
        if stacked:
            yield from (Job("stack_models", {"subject": subject}) for subject in study.subjects)
        yield from (Job("gather_scores", {"selection": name}) for name in self.gathered)
        yield from (Job("fit_law", {"law": law}) for law in study.config["laws"])
        yield from (Job("profile_layers", {}) for _ in range(bool(study.profile_cells)))
        yield Job("measure_artifact", {})
        if study.dataset.kind == "phantom" and "nested" in study.config["laws"]:
            yield Job("validate_phantom", {})
        yield from (Job(f"draw_{figure}", {}) for figure in study.figures)
        yield Job("write_report", {})

    @cached_property
    def gathered(self) -> list[str]:
        """Selections of cells that any other rule asks for."""
        sweeps = [law["sweep"] for law in self.study.config["laws"].values()]
        profiled = [self.study.profile_sweep] if self.study.profile_sweep else []
        return list(dict.fromkeys(["all", "maps", *sweeps, *profiled]))

    # ---- sizes

    @functools.cache  # noqa: B019  one study lives as long as the process
    def trs(self, story: str) -> int:
        """Response TRs of a story; an estimate while the dataset is not there."""
        if (known := self.study.dataset.n_trs(story)) is not None:
            return known
        return self._phantom_trs(story)

    def _phantom_trs(self, story: str) -> int:
        phantom = self.study.config["phantom"]
        limit = phantom.get("words_per_story")
        if limit is not None:
            words = limit * (2 if story in self.study.config["dataset"]["test_stories"] else 1)
        else:
            text = self.study.dataset.tables / f"phantom/stories/{story}.txt"
            words = len(text.read_text().split()) if text.exists() else STORY_TRS * 4
        seconds = 60 * words / phantom.get("words_per_minute", WORDS_PER_MINUTE)
        return max(10, round(1.2 * seconds / self.study.config["dataset"]["tr_s"]))

    def _file_bytes(self, subject: str, story: str) -> int | None:
        dataset = self.study.dataset
        paths = dataset.response(subject, story)
        if manifest := getattr(dataset, "manifest", None):
            names = [path.relative_to(dataset.root).as_posix() for path in paths]
            return sum(manifest[name].size for name in names if name in manifest)
        return sum(path.stat().st_size for path in paths) if all(path.exists() for path in paths) else None

    @functools.cache  # noqa: B019
    def voxels(self, subject: str) -> int:
        """Voxels of a subject: by config, else by the size of one file of float64 (TRs, voxels)."""
        if self.study.dataset.kind == "phantom":
            return int(self.study.config["phantom"]["voxels"])
        story = self.study.dataset.training(subject)[0]
        size = self._file_bytes(subject, story)
        path = self.study.dataset.response(subject, story)[0]
        if size is None or path.name.endswith((".nii", ".nii.gz")):
            return VOXELS
        return max(1, size // (8 * self.trs(story)))

    def response_bytes(self, subject: str) -> float:
        """Bytes of all response files of a subject."""
        total = 0.0
        for story in self.study.heard(subject):
            size = self._file_bytes(subject, story)
            repeats = REPEATS if story in self.study.dataset.test(subject) else 0
            total += 8.0 * self.trs(story) * self.voxels(subject) * (1 + repeats) if size is None else size
        return total

    def test_trs(self, subject: str) -> int:
        """TRs of all test stories of a subject."""
        return sum(self.trs(story) for story in self.study.dataset.test(subject))

    def train_trs(self, subject: str, n_train: int | None = None) -> int:
        """TRs of a subject's longest training stories, or of all."""
        lengths = sorted((self.trs(story) for story in self.study.dataset.training(subject)), reverse=True)
        return sum(lengths[:n_train])

    @cached_property
    def clock_trs(self) -> list[int]:
        """TRs of each story on the stimulus clock."""
        return [self.trs(story) + sum(self.study.dataset.trim) for story in self.study.stories]

    def width(self, model: str) -> int:
        """Features per layer."""
        entry = self.study.registry[model]
        if entry.width:
            return entry.width
        return self.study.config["features"]["control"]["mel_bands"] if entry.control == "mel" else 16

    # ---- needs

    def need(self, rule: str, wildcards: Mapping[str, str]) -> Need:
        """What one job takes.

        Raises:
            UserError: it cannot be done with the config's memory.
        """
        key = (rule, *sorted(wildcards.items()))
        if key not in self._needs:
            price = getattr(self, f"_{rule}", None)
            if price is not None:
                found = price(**wildcards)
            elif rule.startswith("draw_"):
                found = self._draw(rule.removeprefix("draw_"))
            else:
                found = resources.plain()
            self._needs[key] = found
        return self._needs[key]

    def asked(self, rule: str, wildcards: Mapping[str, str]) -> Need:
        """As `need`, for Snakemake, which shows a mistake in the config as such only as its own error."""
        try:
            return self.need(rule, dict(wildcards))
        except UserError as error:
            from snakemake.exceptions import WorkflowError

            raise WorkflowError(str(error)) from None

    def _fetch_dataset(self, part: str) -> Need:
        files = self.study.dataset.needed(part)
        size = float(sum(file.size for file in files))
        return resources.plain(0, size, held=1e8, seconds=size / 2e7)

    def _write_phantom(self) -> Need:
        trs = sum(self.trs(story) for story in self.study.stories)
        voxels = sum(self.voxels(subject) for subject in self.study.subjects)
        test = sum(self.trs(s) for s in self.study.config["dataset"]["test_stories"])
        values = 8.0 * voxels * (trs + REPEATS * test)
        sound = trs * self.study.config["dataset"]["tr_s"] * 16_000 * 2
        return resources.plain(0, values + sound, held=2e8 + values / len(self.study.subjects), seconds=60)

    def _prepare_responses(self, subject: str) -> Need:
        trs = sum(self.trs(story) for story in self.study.heard(subject))
        return resources.responses(
            self.response_bytes(subject),
            self.voxels(subject),
            trs,
            REPEATS * self.test_trs(subject),
            self.study.config["dataset"]["keep"],
        )

    def _estimate_ceiling(self, subject: str) -> Need:
        resamples = self.study.config["ceiling"]["resamples"]
        return resources.ceiling(self.voxels(subject), self.test_trs(subject), REPEATS, resamples)

    def _parameters(self, model: str) -> float:
        entry = self.study.registry[model]
        return resources.parameters(entry.width or 0, entry.n_layers, entry.vocab or 0, entry.config)

    def _prepare_model(self, model: str) -> Need:
        entry = self.study.registry[model]
        if not entry.has_network:
            return resources.plain()
        weights = 4.0 * self._parameters(model)
        # A published model's weights go to the hub's own cache, through a stream; a built one is in memory.
        held = 2 * weights if entry.build or entry.gguf_file else 1e8
        return resources.plain(0, weights, held, base=resources.NETWORK)

    def _extract(self, model: str) -> Need:
        entry = self.study.registry[model]
        return resources.extraction(
            entry.modality,
            self.width(model),
            entry.n_layers,
            self._parameters(model),
            entry.vocab or 0,
            self.clock_trs,
            self.study.dataset.tr_s,
            self.study.feature_settings(model),
        )

    _extract_language_features = _extract
    _extract_speech_features = _extract

    def _extract_control_features(self, model: str) -> Need:
        stored = resources.feature_bytes(self.width(model), 1, self.clock_trs, "float32")
        sound = 16_000 * 8.0 * max(self.clock_trs) * self.study.dataset.tr_s
        held = 4 * sound if self.study.registry[model].control == "mel" else 0
        return resources.plain(0, stored, held, 0.05 * len(self.clock_trs))

    def _fit(self, model: str, layer: str, subject: str, n_train: str, single: bool = False) -> Need:
        cell = Cell(model, int(layer), subject, int(n_train))
        draws = 1 if single else self.study.grid.draws.get(cell, 1)
        # Cells of one shape share one price: thousands of layers are priced once.
        key = ("fit", self.width(model), subject, cell.n_train, draws)
        if key not in self._needs:
            self._needs[key] = resources.fit(
                self.train_trs(subject, cell.n_train),
                self.test_trs(subject),
                self.width(model),
                self.voxels(subject),
                self.study.config["encoding"],
                draws,
                self.train_trs(subject),
                self.study.config["scoring"]["block_trs"],
                self.study.config["scoring"]["permutations"],
            )
        return self._needs[key]

    _fit_encoding = _fit

    def threads(self, rule: str, wildcards: Mapping[str, str]) -> int:
        """Cores that a job is worth, as `need` says, but without the solver's plan, which needs torch."""
        if rule not in ("fit_encoding", "predict_encoding"):
            return self.need(rule, dict(wildcards)).threads
        cell = self.study.cell(**wildcards)
        flops = resources.cell_flops(
            self.train_trs(cell.subject, cell.n_train),
            self.test_trs(cell.subject),
            self.width(cell.model),
            self.voxels(cell.subject),
            self.study.config["encoding"],
            self.study.grid.draws.get(cell, 1) if rule == "fit_encoding" else 1,
            self.study.config["scoring"]["permutations"],
        )
        return resources.worth_threads(flops)

    def _predict_encoding(self, **wildcards: str) -> Need:
        subject = wildcards["subject"]
        train = self.train_trs(subject, int(wildcards["n_train"]))
        fit = self._fit(**wildcards, single=True)
        return resources.prediction(fit, train, self.test_trs(subject), self.voxels(subject))

    def _stack_models(self, subject: str) -> Need:
        members = len(self.study.config["stacking"]["members"])
        return resources.stack(members, self.train_trs(subject), self.test_trs(subject), self.voxels(subject))

    def _rows(self, cells: Iterable[Cell]) -> list[float]:
        return [float(self.study.grid.draws.get(cell, 1)) * self.voxels(cell.subject) for cell in cells]

    def _gather_scores(self, selection: str) -> Need:
        rows = self._rows(self.study.selections[selection])
        return resources.gathering(sum(rows), max(rows, default=0), self._all_voxels)

    @cached_property
    def _all_voxels(self) -> float:
        return float(sum(self.voxels(subject) for subject in self.study.subjects))

    def _moments(self, cells: list[Cell], outputs: float = 1e6) -> Need:
        blocks = (
            max(self.test_trs(s) for s in self.study.subjects) / self.study.config["scoring"]["block_trs"]
        )
        rows = self._rows(cells)
        draws = self.study.config["bootstrap"]["draws"]
        return resources.from_moments(blocks * sum(rows), blocks * max(rows, default=0), draws, outputs)

    def _fit_law(self, law: str) -> Need:
        return self._moments(self.study.law_cells(law))

    def _profile_layers(self) -> Need:
        rows = self._rows(self.study.profile_cells)
        return resources.gathering(sum(rows), sum(rows), self._all_voxels)

    def _measure_artifact(self) -> Need:
        return self._moments(self.study.map_cells)

    def _draw(self, figure: str) -> Need:
        of_voxels = figure.startswith(("map", "ceiling_d", "score_dist", "stacking", "variance"))
        return resources.figure(sum(self._rows(self.study.map_cells)) if of_voxels else 1e4)

    def _write_report(self) -> Need:
        return resources.figure(self._all_voxels)


def _wildcards(cell: Cell) -> dict[str, str]:
    return {key: str(value) for key, value in cell._asdict().items()}
