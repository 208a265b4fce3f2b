"""What of a study's config changes the numbers of each stage: parameters of its rules."""

from __future__ import annotations

from typing import Any

from voxscale.errors import UserError
from voxscale.study.study import Study

# Of `encoding` and `scoring`: they name, judge or speed up fits and do not affect their numbers.
WITHOUT_EFFECT = ("preset", "layer_choice", "fdr", "memory_gb", "device")


def feature_settings(study: Study, model: str) -> dict[str, Any]:
    """What changes a model's features."""
    features, entry = study.config["features"], study.registry[model]
    if entry.source:
        return {
            "source": feature_settings(study, entry.source),
            "on_disk": features["on_disk"],
            "layers": study.derived_layers(model),
            "training": study.training_stories,
        }
    kind = {"language": "text", "speech": "speech"}.get(entry.modality, "control")
    return features[kind] | {key: features[key] for key in ("device", "device_map", "max_memory", "on_disk")}


def fit_settings(study: Study) -> dict[str, Any]:
    """What changes a fit."""
    dataset, settings = study.config["dataset"], {**study.config["encoding"], **study.config["scoring"]}
    kept = {key: value for key, value in settings.items() if key not in WITHOUT_EFFECT}
    return kept | {"tr_s": dataset["tr_s"], "trim": dataset["trim"]}


def ceiling_settings(study: Study) -> dict[str, Any]:
    """What changes a noise ceiling."""
    return {
        **study.config["ceiling"],
        "skip_s": study.config["scoring"]["skip_s"],
        "tr_s": study.config["dataset"]["tr_s"],
        "interval": study.config["bootstrap"]["interval"],
    }


def bootstrap_settings(study: Study) -> dict[str, Any]:
    """What changes an interval."""
    return {
        **study.config["bootstrap"],
        "skip_s": study.config["scoring"]["skip_s"],
        "block_trs": study.config["scoring"]["block_trs"],
        "tr_s": study.config["dataset"]["tr_s"],
        "layer_choice": study.config["encoding"]["layer_choice"],
    }


def law_spec(study: Study, law: str) -> dict[str, Any]:
    """What changes a law's numbers: x, families, voxel sets and draws of its sweep."""
    spec = {key: value for key, value in study.config["laws"][law].items() if key != "drawn"}
    speech = any(study.registry[model].modality == "speech" for model in study.law_models(law))
    voxels = ["all", "significant", *(["rois"] if speech else [])]
    return {"voxels": voxels, "n_draws": study.config["sweeps"][spec["sweep"]]["draws"], **spec}


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
    n_draws = study.config["sweeps"][joint["sweep"]]["draws"]
    return {"voxels": joint.get("voxels", ["all"]), "n_draws": n_draws}
