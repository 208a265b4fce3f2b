"""Parameters of each rule's jobs that follow from the study: the rules hand them to their scripts, and
`voxscale.jobs.records` compares them with those that a finished output was made with.

Beside them a rule has only what no config changes: the hash of its code, folders, numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from voxscale.study import Cell, Study

Wildcards = Mapping[str, str]
Parameter = Callable[[Study, Wildcards], Any]


def _listed(cells: Sequence[Cell]) -> list[list[Any]]:
    return [list(cell) for cell in cells]


def _cell(study: Study, w: Wildcards) -> dict[str, Any]:
    """The cell a job fits, with its number of draws."""
    cell = study.cell(**w)
    return cell._asdict() | {"n_draws": study.grid.draws.get(cell, 1)}


def _law_options(kind: str) -> Parameter:
    """What the figure of the chief law of a kind is told."""

    def options(study: Study, w: Wildcards) -> dict[str, Any]:
        law, interval = study.chief_laws[kind], study.config["bootstrap"]["interval"]
        return {"law": law, "interval": interval, "voxel_sets": study.law_drawn(law)}

    return options


def _gather_settings(study: Study, w: Wildcards) -> dict[str, Any]:
    scoring = study.config["scoring"]
    return {
        "fdr": scoring["fdr"],
        "n_alphas": study.config["encoding"]["alphas"]["n"],
        "skip_s": scoring["skip_s"],
        "tr_s": study.config["dataset"]["tr_s"],
    }


def _derived_settings(study: Study, w: Wildcards) -> dict[str, Any]:
    return {"trim": study.config["dataset"]["trim"], "on_disk": study.config["features"]["on_disk"]}


def _bands(study: Study, w: Wildcards) -> list[dict[str, Any]]:
    return study.bands(w["banded"])


ENCODING: dict[str, Parameter] = {"cell": _cell, "settings": lambda study, w: study.fit_settings()}
EXTRACTING: dict[str, Parameter] = {
    "stories": lambda study, w: study.stories,
    "settings": lambda study, w: study.feature_settings(w["model"]),
}
HEARING = EXTRACTING | {"audio": lambda study, w: study.sounds(study.stories)}
PARAMETERS: dict[str, dict[str, Parameter]] = {
    "fetch_dataset": {
        "files": lambda study, w: [list(file) for file in study.dataset.needed(w["part"])],
        "root": lambda study, w: str(study.dataset.root),
        "url": lambda study, w: study.dataset.config["url"],
    },
    "write_phantom_stimuli": {
        "root": lambda study, w: study.dataset.root,
        "settings": lambda study, w: study.phantom_settings,
    },
    "scan_phantom": {"root": lambda study, w: study.dataset.root},
    "read_story": {
        "transcript": lambda study, w: str(study.dataset.transcript(w["story"])),
        "clocks": lambda study, w: str(study.dataset.clocks),
        "tr_s": lambda study, w: study.config["dataset"]["tr_s"],
        "trim": lambda study, w: study.config["dataset"]["trim"],
    },
    "describe_subject": {
        "training": lambda study, w: study.dataset.training(w["subject"]),
        "test": lambda study, w: study.dataset.test(w["subject"]),
    },
    "digest_sounds": {
        "stories": lambda study, w: study.heard(w["subject"]),
        "audio": lambda study, w: study.sounds(study.heard(w["subject"])),
    },
    "digest_responses": {
        "sources": lambda study, w: study.response_sources(w["subject"]),
        "mask": lambda study, w: study.dataset.mask(w["subject"]),
    },
    "prepare_responses": {
        "test": lambda study, w: study.dataset.test(w["subject"]),
        "sources": lambda study, w: study.response_sources(w["subject"]),
        "mask": lambda study, w: study.dataset.mask(w["subject"]),
        "clocks": lambda study, w: str(study.dataset.clocks),
        "keep": lambda study, w: study.config["dataset"]["keep"],
    },
    "place_voxels": {"database": lambda study, w: str(study.dataset.pycortex_db)},
    "estimate_ceiling": {"settings": lambda study, w: study.ceiling_settings},
    "prepare_model": {
        "entry": lambda study, w: asdict(study.registry[w["model"]]),
        "allow_quantized": lambda study, w: study.config["features"]["allow_quantized"],
    },
    "extract_language_features": EXTRACTING,
    "extract_speech_features": HEARING,
    "extract_control_features": HEARING,
    "extract_derived_features": {
        "training": lambda study, w: study.training_stories,
        "layers": lambda study, w: study.derived_layers(w["model"]),
        "settings": _derived_settings,
        "features": lambda study, w: study.feature_settings(w["model"]),
    },
    "fit_encoding": ENCODING | {"features": lambda study, w: study.feature_settings(w["model"])},
    "predict_encoding": ENCODING,
    "weigh_encoding": ENCODING,
    "fit_banded": {
        "bands": _bands,
        "cell": lambda study, w: study.banded_cell(**w)._asdict(),
        "samples": lambda study, w: study.config["banded"][w["banded"]]["samples"],
        "settings": lambda study, w: study.fit_settings(),
        "features": lambda study, w: [study.feature_settings(band["model"]) for band in _bands(study, w)],
    },
    "stack_models": {
        "cells": lambda study, w: _listed(study.stacking_cells(w["subject"])),
        "settings": lambda study, w: study.fit_settings() | study.bootstrap_settings,
    },
    "gather_scores": {
        "voxel_tables": lambda study, w: study.voxel_tables(),
        "settings": _gather_settings,
    },
    "fit_law": {
        "cells": lambda study, w: _listed(study.law_cells(w["law"])),
        "spec": lambda study, w: study.law_spec(w["law"]),
        "settings": lambda study, w: study.bootstrap_settings,
    },
    "fit_joint": {
        "cells": lambda study, w: _listed(study.joint_cells),
        "spec": lambda study, w: study.joint_spec,
        "settings": lambda study, w: study.bootstrap_settings,
    },
    "analyse_plateau": {"models": lambda study, w: study.law_models(study.chief_laws["language"])},
    "profile_layers": {
        "cells": lambda study, w: _listed(study.profile_cells),
        "settings": lambda study, w: study.bootstrap_settings,
    },
    "measure_artifact": {
        "cells": lambda study, w: _listed(study.map_cells),
        "settings": lambda study, w: study.bootstrap_settings,
    },
    "validate_phantom": {"interval": lambda study, w: study.config["bootstrap"]["interval"]},
    "draw_score_by_language_model_size": {"options": _law_options("language")},
    "draw_score_by_speech_model_size": {"options": _law_options("speech")},
    "draw_score_by_training_hours": {"options": _law_options("training")},
    "draw_score_by_layer": {"options": lambda study, w: {"order": study.by_size(study.profile_cells)}},
    "draw_long_context_artifact": {
        "options": lambda study, w: {"cut_s": study.config["scoring"]["skip_s"]},
    },
    "draw_controls": {"options": lambda study, w: {"controls": study.untrained}},
    "draw_plateau": {"options": lambda study, w: {"arms": study.plateau_arms}},
    "draw_flatmap": {
        "model": lambda study, w: study.map_cells[0].model,
        "database": lambda study, w: str(study.dataset.pycortex_db),
    },
    "write_report": {
        "config": lambda study, w: study.config,
        "models": lambda study, w: study.revisions,
        "chief_laws": lambda study, w: study.chief_laws,
        "untrained": lambda study, w: study.untrained,
        "notes": lambda study, w: study.notes,
        "stories": lambda study, w: study.dataset.story_table(),
    },
}


def of_job(study: Study, rule: str, wildcards: Wildcards) -> dict[str, Any]:
    """Parameters of one job that follow from the study, by name."""
    return {name: value(study, wildcards) for name, value in PARAMETERS.get(rule, {}).items()}


def of_rule(study: Study, rule: str) -> dict[str, Callable[[Any], Any]]:
    """The same for a rule's `params`: of each a function of a job's wildcards, as Snakemake has them."""

    def of(parameter: Parameter) -> Callable[[Any], Any]:
        return lambda wildcards: parameter(study, dict(wildcards.items()))

    return {name: of(parameter) for name, parameter in PARAMETERS[rule].items()}
