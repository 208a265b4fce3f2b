"""What each job of a study takes, by its rule: the study's sizes put into the cost model.

Each method `_<rule>` prices one rule's jobs; a rule without one is a light job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voxscale.jobs import resources
from voxscale.jobs.resources import Need
from voxscale.jobs.sizes import REPEATS, Sizes
from voxscale.study import Cell, Study

GPU_RULES = ("extract_language_features", "extract_speech_features")
FIT_RULES = ("fit_encoding", "predict_encoding", "weigh_encoding")


@dataclass
class Prices:
    """What the jobs of a study take.

    Args:
        study: complete; relative paths are looked up in the working directory.
    """

    study: Study
    sizes: Sizes = field(init=False)
    _needs: dict[tuple[Any, ...], Need] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = Sizes(self.study)

    @property
    def gpu_rules(self) -> tuple[str, ...]:
        """Rules whose jobs may ask for a GPU: fits only where the config names it as their device."""
        fits = FIT_RULES if self.study.config["encoding"]["device"].startswith("cuda") else ()
        return GPU_RULES + fits

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

    def _fetch_dataset(self, part: str) -> Need:
        files = self.study.dataset.needed(part)
        size = float(sum(file.size for file in files))
        return resources.plain(0, size, held=1e8, seconds=size / 2e7)

    def _write_phantom_stimuli(self) -> Need:
        trs = sum(self.sizes.trs(story) for story in self.study.stories)
        sound = trs * self.study.config["dataset"]["tr_s"] * 16_000 * 2
        return resources.plain(0, sound, held=2e8 + 4 * sound, seconds=60)

    def _scan_phantom(self, subject: str) -> Need:
        trs = sum(self.sizes.trs(story) for story in self.study.heard(subject))
        values = 8.0 * self.sizes.voxels(subject) * (trs + REPEATS * self.sizes.test_trs(subject))
        return resources.plain(0, values, held=5e7 + 3 * values, seconds=30)

    def _digest_responses(self, subject: str) -> Need:
        return resources.plain(self.sizes.response_bytes(subject))

    def _prepare_responses(self, subject: str) -> Need:
        trs = sum(self.sizes.trs(story) for story in self.study.heard(subject))
        return resources.responses(
            self.sizes.response_bytes(subject),
            self.sizes.voxels(subject),
            trs,
            self.sizes.repeat_trs(subject),
            self.study.config["dataset"]["keep"],
            self.sizes.held_responses(subject),
        )

    def _place_voxels(self, subject: str) -> Need:
        # pycortex and two cortices of 150,000 vertices each; what it keeps is a few MB of text.
        return resources.plain(5e7, 40.0 * self.sizes.voxels(subject), held=1.5e9, seconds=120)

    def _estimate_ceiling(self, subject: str) -> Need:
        return resources.ceiling(self.sizes.voxels(subject), self.sizes.test_trs(subject), REPEATS)

    def _prepare_model(self, model: str) -> Need:
        entry = self.study.registry[model]
        if not entry.has_network:
            return resources.plain()
        weights = float(entry.weight_bytes) * self.sizes.loaded(model)
        if entry.untrained and entry.hub and not entry.build:
            weights = 0.0  # it takes configuration and tokenizer from its model's own files
        # A published model's weights go to the hub's own cache, through a stream; a built one is in memory.
        held = 8.0 * self.sizes.parameters(model) if entry.build or entry.gguf_file else 1e8
        return resources.plain(0, weights, held, base=resources.NETWORK)

    def _extract(self, model: str) -> Need:
        entry = self.study.registry[model]
        return resources.extraction(
            entry.modality,
            self.sizes.width(model),
            entry.n_layers,
            self.sizes.parameters(model),
            entry.vocab or 0,
            self.sizes.clock_trs,
            self.study.dataset.tr_s,
            self.study.feature_settings(model),
            weight_bytes=entry.weight_bytes,
            loaded=self.sizes.loaded(model),
            config=entry.config,
            untrained=entry.untrained,
        )

    _extract_language_features = _extract
    _extract_speech_features = _extract

    def _extract_control_features(self, model: str) -> Need:
        on_disk = self.study.config["features"]["on_disk"]
        stored = resources.feature_bytes(self.sizes.width(model), 1, self.sizes.clock_trs, on_disk)
        seconds = max(self.sizes.clock_trs) * self.study.dataset.tr_s
        held = resources.SOUND_BYTES * seconds if self.study.registry[model].control == "mel" else 0
        return resources.plain(0, stored, held, 0.05 * len(self.sizes.clock_trs))

    def _extract_derived_features(self, model: str) -> Need:
        source = self.study.registry[model].source
        layers, trs = len(self.study.derived_layers(model)), self.sizes.clock_trs
        on_disk = self.study.config["features"]["on_disk"]
        read, stored = (
            resources.feature_bytes(self.sizes.width(name), layers, trs, on_disk) for name in (source, model)
        )
        # One layer of all stories, once more scaled and in double precision, and its singular vectors.
        held = 6 * resources.feature_bytes(self.sizes.width(source), 1, trs, "float32")
        flops = (
            20.0
            * layers
            * sum(trs)
            * self.sizes.width(source)
            * min(sum(trs), self.sizes.width(source), 1500)
        )
        return resources.plain(read, stored, held, flops / resources.CPU_FLOPS)

    def _fit(self, model: str, layer: str, subject: str, n_train: str, single: bool = False) -> Need:
        cell = Cell(model, int(layer), subject, int(n_train))
        draws = 1 if single else self.study.grid.draws.get(cell, 1)
        # Cells of one shape share one price: thousands of layers are priced once.
        key = ("fit", self.sizes.width(model), subject, cell.n_train, draws)
        if key not in self._needs:
            self._needs[key] = resources.fit(
                self.sizes.longest(subject, cell.n_train),
                self.sizes.test_trs(subject),
                self.sizes.width(model),
                self.sizes.voxels(subject),
                self.study.config["encoding"],
                draws,
                self.sizes.train_trs(subject),
                self.study.config["scoring"]["block_trs"],
                self.study.config["scoring"]["permutations"],
            )
        return self._needs[key]

    _fit_encoding = _fit

    def _fit_banded(self, banded: str, subject: str, n_train: str) -> Need:
        return resources.banded(
            self.sizes.train_trs(subject, int(n_train)),
            self.sizes.test_trs(subject),
            [self.sizes.width(band["model"]) for band in self.study.bands(banded)],
            self.sizes.voxels(subject),
            self.study.config["encoding"],
            self.study.config["banded"][banded]["samples"],
            self.study.config["scoring"]["block_trs"],
            self.study.config["scoring"]["permutations"],
        )

    def threads(self, rule: str, wildcards: Mapping[str, str]) -> int:
        """Cores that a job is worth, as `need` says, but without the solver's plan, which needs torch."""
        if rule not in FIT_RULES:
            return self.need(rule, dict(wildcards)).threads
        cell = self.study.cell(**wildcards)
        flops = resources.cell_flops(
            self.sizes.train_trs(cell.subject, cell.n_train),
            self.sizes.test_trs(cell.subject),
            self.sizes.width(cell.model),
            self.sizes.voxels(cell.subject),
            self.study.config["encoding"],
            self.study.grid.draws.get(cell, 1) if rule == "fit_encoding" else 1,
            self.study.config["scoring"]["permutations"],
        )
        return resources.worth_threads(flops)

    def _predict_encoding(self, **wildcards: str) -> Need:
        subject = wildcards["subject"]
        train = self.sizes.train_trs(subject, int(wildcards["n_train"]))
        fit = self._fit(**wildcards, single=True)
        return resources.prediction(fit, train, self.sizes.test_trs(subject), self.sizes.voxels(subject))

    def _weigh_encoding(self, **wildcards: str) -> Need:
        features = self.sizes.width(wildcards["model"]) * len(self.study.config["encoding"]["delays"])
        return resources.weighing(
            self._fit(**wildcards, single=True), features, self.sizes.voxels(wildcards["subject"])
        )

    def _stack_models(self, subject: str) -> Need:
        members = len(self.study.config["stacking"]["members"])
        return resources.stack(
            members, self.sizes.train_trs(subject), self.sizes.test_trs(subject), self.sizes.voxels(subject)
        )

    def _gather_scores(self, selection: str) -> Need:
        rows = self.sizes.rows(self.study.selections[selection])
        return resources.gathering(sum(rows), max(rows, default=0), self.sizes.all_voxels)

    def _moments(self, cells: list[Cell], outputs: float = 1e6) -> Need:
        blocks = (
            max(self.sizes.test_trs(s) for s in self.study.subjects)
            / self.study.config["scoring"]["block_trs"]
        )
        rows = self.sizes.rows(cells)
        draws = self.study.config["bootstrap"]["draws"]
        return resources.from_moments(blocks * sum(rows), blocks * max(rows, default=0), draws, outputs)

    def _fit_law(self, law: str) -> Need:
        return self._moments(self.study.law_cells(law))

    def _fit_joint(self) -> Need:
        return self._moments(self.study.joint_cells)

    def _profile_layers(self) -> Need:
        rows = self.sizes.rows(self.study.profile_cells)
        scores = resources.gathering(sum(rows), sum(rows), self.sizes.all_voxels)
        need = self._moments(self.study.profile_cells)
        return replace(need, memory_mb=max(need.memory_mb, scores.memory_mb))

    def _measure_room(self) -> Need:
        rows = sum(self.sizes.rows(self.study.map_cells))
        return resources.gathering(rows, rows, self.sizes.all_voxels)

    def _measure_artifact(self) -> Need:
        return self._moments(self.study.map_cells)

    def _draw(self, figure: str) -> Need:
        of_voxels = figure.startswith(("map", "ceiling_d", "score_dist", "stacking", "variance"))
        return resources.figure(sum(self.sizes.rows(self.study.map_cells)) if of_voxels else 1e4)

    def _write_report(self) -> Need:
        return resources.figure(self.sizes.all_voxels)
