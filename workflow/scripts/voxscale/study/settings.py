"""Which config keys change the numbers of each stage: they are parameters of its rules.

Keys that only say how a job computes (its means) change numbers by rounding at most, and are not compared.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from voxscale.errors import UserError
from voxscale.models import ModelEntry
from voxscale.study.study import Study

FEATURE_MEANS = ("device", "device_map", "max_memory", "dtype", "token_budget")
FIT_MEANS = ("memory_gb", "device")
# Of `encoding` and `scoring`: they name or judge fits, or put them into jobs.
WITHOUT_EFFECT = ("preset", "layer_choice", "fdr", "significant_in", "job_minutes")
# Of an entry under `models:`: they name it, or say how it can be had and what it takes.
ENTRY_MEANS = ("family", "gated", "dtype", "context", "columns")
CONTROL_KEYS = {"mel": "mel_bands", "autocorrelation": "seed"}


def network_block(study: Study, entry: ModelEntry) -> Mapping[str, Any]:
    """The config's `features.text` or `features.speech`, with the context of the model's own entry."""
    block = study.config["features"]["text" if entry.modality == "language" else "speech"]
    return {**block, **entry.context}


def feature_settings(study: Study, model: str) -> dict[str, Any]:
    """What changes a model's features; `precision` is what follows from `dtype` and `device`."""
    features, entry = study.config["features"], study.registry[model]
    on_disk = {"on_disk": features["on_disk"]}
    if entry.source:
        source = feature_settings(study, entry.source)
        training, layers = study.training_stories, study.derived_layers(model)
        return {"source": source, "layers": layers, "training": training, **on_disk}
    if not entry.has_network:
        key = CONTROL_KEYS.get(entry.control or "")
        return on_disk | ({key: features["control"][key]} if key else {})
    block = network_block(study, entry)
    precision = block["dtype"]
    if precision == "auto":
        precision = "published" if study.features_on_gpu else "float32"
    noted = (*FEATURE_MEANS, "bits_per_character")  # the latter is in no feature
    return {**{key: block[key] for key in block if key not in noted}, "precision": precision, **on_disk}


def feature_means(study: Study, model: str) -> dict[str, Any]:
    """How a model's features are computed; it changes no number by more than rounding."""
    features, entry = study.config["features"], study.registry[model]
    every = features | (network_block(study, entry) if entry.has_network else features["control"])
    return {key: every[key] for key in (*FEATURE_MEANS, *CONTROL_KEYS.values()) if key in every}


def model_settings(study: Study, model: str) -> dict[str, Any]:
    """What of a model's entry changes its card and its features."""
    entry = asdict(study.registry[model])
    # Without the keys of own features, which other models lack: their cards stay as they are.
    left_out = (*ENTRY_MEANS, *(key for key in ("at", "layers") if entry[key] is None))
    return {key: value for key, value in entry.items() if key not in left_out}


def model_means(study: Study, model: str) -> dict[str, Any]:
    """The rest of a model's entry, and whether quantised weights may be used."""
    entry = {key: getattr(study.registry[model], key) for key in ENTRY_MEANS}
    return {"entry": entry, "allow_quantized": study.config["features"]["allow_quantized"]}


def fit_settings(study: Study) -> dict[str, Any]:
    """What changes a fit."""
    dataset, settings = study.config["dataset"], {**study.config["encoding"], **study.config["scoring"]}
    kept = {key: value for key, value in settings.items() if key not in (*WITHOUT_EFFECT, *FIT_MEANS)}
    return kept | {"tr_s": dataset["tr_s"], "trim": dataset["trim"]} | _across_subjects(study)


def fit_means(study: Study) -> dict[str, Any]:
    """How a fit is computed; it changes no number by more than rounding."""
    return study.picked(*(f"encoding.{key}" for key in FIT_MEANS))


def ceiling_settings(study: Study) -> dict[str, Any]:
    """What changes a noise ceiling."""
    found = study.picked("ceiling", "scoring.skip_s", "dataset.tr_s", "bootstrap.interval")
    if (kind := study.ceiling_kind) != "repeats":
        found |= {"kind": kind, **_across_subjects(study), "block_trs": study.config["scoring"]["block_trs"]}
    else:
        del found["kind"]
    return found


def _across_subjects(study: Study) -> dict[str, Any]:
    """Stories of a ceiling across subjects; without one those that a subject heard most often count."""
    return {"ceiling_stories": study.shared_test_stories} if study.ceiling_kind == "subjects" else {}


def lag_settings(study: Study) -> dict[str, Any]:
    """What changes a lag scan."""
    return study.picked("bootstrap", "scoring.block_trs", "dataset.tr_s", "encoding.delays")


def bootstrap_settings(study: Study) -> dict[str, Any]:
    """What changes an interval."""
    scoring = ("scoring.skip_s", "scoring.block_trs")
    return study.picked("bootstrap", *scoring, "dataset.tr_s", "encoding.layer_choice")


def comparison_settings(study: Study) -> dict[str, Any]:
    """What changes a comparison of two fits."""
    return study.picked("bootstrap", "scoring.skip_s", "scoring.permutations", "dataset.tr_s")


def law_spec(study: Study, law: str) -> dict[str, Any]:
    """What changes a law's numbers: x, families, voxel sets and draws of its sweep."""
    own = study.config["laws"][law]
    spec = {key: value for key, value in own.items() if key not in ("drawn", "x_label")}
    columns = {model: study.registry[model].columns for model in study.law_models(law)}
    if given := {model: found[spec["x"]] for model, found in columns.items() if spec["x"] in found}:
        spec["columns"] = given
    speech = any(study.registry[model].modality == "speech" for model in study.law_models(law))
    voxels = ["all", "significant", *(["rois"] if speech else [])]
    return {"voxels": voxels, **_sweep_spec(study, spec["sweep"]), **spec}


def _sweep_spec(study: Study, sweep: str) -> dict[str, Any]:
    """Of a sweep: draws, the training sizes asked for, and what `all` is in each subject."""
    spec = study.config["sweeps"][sweep]
    stories = dict(study.grid.stories)
    return {"n_draws": spec["draws"], "n_train": spec["n_train"], "stories": stories}


def law_drawn(study: Study, law: str) -> list[str]:
    """Voxel sets of a law's figure.

    Raises:
        UserError: one that the law is not fitted to.
    """
    fitted = law_spec(study, law)["voxels"]
    drawn = study.config["laws"][law].get("drawn", fitted[:1])
    for name in drawn:
        kind = {"roi": "rois", "decile": "deciles"}.get(name.split(":")[0])
        if name not in fitted and kind not in fitted:
            raise UserError(f"config key laws.{law}.drawn: {name} is not in its voxels; add it there")
    return drawn


def joint_spec(study: Study) -> dict[str, Any]:
    """What changes the joint law: voxel sets and draws of its sweep."""
    joint = study.config["joint"]
    return {"voxels": joint.get("voxels", ["all"]), **_sweep_spec(study, joint["sweep"])}
