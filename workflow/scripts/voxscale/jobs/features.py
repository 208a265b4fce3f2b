"""Records of the rules that prepare models and extract their features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxscale.jobs import resources
from voxscale.jobs.data import latents
from voxscale.jobs.record import Parameter, Rule, Wildcards
from voxscale.jobs.resources import Need, plain
from voxscale.jobs.sizes import Sizes
from voxscale.models import OWN
from voxscale.study import Study, feature_means, feature_settings, model_means, model_settings
from voxscale.versions import numbers

# Stage of `voxscale.versions` that makes the features of a modality.
STAGES = {
    "language": "text",
    "speech": "speech",
    "control": "controls",
    "nested": "controls",
    **dict.fromkeys(OWN, "own"),
    "derived": "reduced",
}


def feature_numbers(study: Study, model: str) -> dict[str, int]:
    """Versions of the numbers in a model's features; of derived ones with those of their source."""
    entry = study.registry[model]
    source = feature_numbers(study, entry.source) if entry.source else {}
    return numbers(STAGES[entry.modality]) | source


def _models(*modalities: str) -> Callable[[Study], list[Wildcards]]:
    return lambda study: [{"model": model} for model in study.models_of(*modalities)]


def _preparing(sizes: Sizes, model: str) -> Need:
    entry = sizes.study.registry[model]
    if not entry.has_network:
        return plain(_own_bytes(sizes, model))
    weights = float(entry.weight_bytes) * sizes.loaded(model)
    if entry.untrained and entry.hub and not entry.build:
        weights = 0.0  # it takes configuration and tokenizer from its model's own files
    # A published model's weights go to the hub's own cache, through a stream; a built one is in memory.
    held = 8.0 * sizes.parameters(model) if entry.build or entry.gguf_file else 1e8
    return plain(0, weights, held, base=resources.NETWORK)


def _extracting(sizes: Sizes, model: str) -> Need:
    entry = sizes.study.registry[model]
    device = {"device": "cuda" if sizes.study.features_on_gpu else "cpu"}
    surprisal = {"bits_per_character": sizes.study.config["features"]["text"]["bits_per_character"]}
    return resources.extraction(
        entry.modality,
        sizes.width(model),
        entry.n_layers,
        sizes.parameters(model),
        entry.vocab or 0,
        sizes.clock_trs,
        sizes.study.dataset.tr_s,
        {**feature_settings(sizes.study, model), **feature_means(sizes.study, model), **device, **surprisal},
        weight_bytes=entry.weight_bytes,
        loaded=sizes.loaded(model),
        config=entry.config,
        untrained=entry.untrained,
    )


def _extracting_controls(sizes: Sizes, model: str) -> Need:
    on_disk = sizes.study.config["features"]["on_disk"]
    stored = resources.feature_bytes(sizes.width(model), 1, sizes.clock_trs, on_disk)
    seconds = max(sizes.clock_trs) * sizes.study.dataset.tr_s
    held = resources.SOUND_BYTES * seconds if sizes.study.registry[model].control == "mel" else 0
    return plain(0, stored, held, 0.05 * len(sizes.clock_trs))


def _own_bytes(sizes: Sizes, model: str) -> float:
    files = map(Path, sizes.study.local_weights(model))
    return float(sum(path.stat().st_size for path in files if path.exists()))


def _extracting_own(sizes: Sizes, model: str) -> Need:
    """All files are read once; in memory are a story's, or the vectors of all words that stories use."""
    entry, trs = sizes.study.registry[model], sizes.clock_trs
    read, width = _own_bytes(sizes, model), sizes.width(model)
    layers, on_disk = len(entry.all_layers), sizes.study.config["features"]["on_disk"]
    stored = resources.feature_bytes(width, layers, trs, on_disk)
    if entry.modality == "embeddings":
        seconds = sum(trs) * sizes.study.dataset.tr_s
        held, computing = 16.0 * width * resources.WORDS_PER_S * seconds, read / 1e8
    else:
        held, computing = 4 * read / len(trs), read / 5e7
    return plain(read, stored, held + 2 * stored / len(trs), computing)


def _reducing(sizes: Sizes, model: str) -> Need:
    source = sizes.study.registry[model].source
    layers, trs = len(sizes.study.derived_layers(model)), sizes.clock_trs
    on_disk = sizes.study.config["features"]["on_disk"]
    read, stored = (
        resources.feature_bytes(sizes.width(name), layers, trs, on_disk) for name in (source, model)
    )
    # One layer of all stories, once more scaled and in double precision, and its singular vectors.
    held = 6 * resources.feature_bytes(sizes.width(source), 1, trs, "float32")
    width = sizes.width(source)
    flops = 20.0 * layers * sum(trs) * width * min(sum(trs), width, 1500)
    return plain(read, stored, held, flops / resources.CPU_FLOPS)


_EXTRACTING: dict[str, Parameter] = {
    "stories": lambda study, w: study.stories,
    "settings": lambda study, w: feature_settings(study, w["model"]),
}


def _means(study: Study, w: Wildcards) -> dict[str, Any]:
    return feature_means(study, w["model"])


_READING = _EXTRACTING | {
    "bits_per_character": lambda study, w: study.config["features"]["text"]["bits_per_character"]
}
_HEARING = _EXTRACTING | {"audio": lambda study, w: study.sounds(study.stories)}
_FEATURES = {"features": "results/features/{model}.h5"}

RULES = (
    Rule(
        "prepare_model",
        outputs={"card": "results/models/{model}.json"},
        jobs=lambda study: [{"model": model} for model in study.grid.used_models],
        need=_preparing,
        params={
            "entry": lambda study, w: model_settings(study, w["model"]),
        },
        means=lambda study, w: model_means(study, w["model"]),
        numbers=("models",),
        sources=lambda study, w: study.local_weights(w["model"]),
        local=True,
    ),
    Rule(
        "extract_language_features",
        outputs=_FEATURES,
        jobs=_models("language"),
        need=_extracting,
        params=_READING,
        means=_means,
        numbers=("text",),
        gpu=lambda study: study.features_on_gpu,
        ancient=True,
    ),
    Rule(
        "extract_speech_features",
        outputs=_FEATURES,
        jobs=_models("speech"),
        need=_extracting,
        params=_HEARING,
        means=_means,
        numbers=("speech",),
        gpu=lambda study: study.features_on_gpu,
        sources=lambda study, w: study.sounds(study.stories),
        ancient=True,
    ),
    Rule(
        "extract_control_features",
        outputs=_FEATURES,
        jobs=_models("control", "nested"),
        need=_extracting_controls,
        params=_HEARING,
        means=_means,
        numbers=("controls",),
        sources=lambda study, w: [
            *(study.sounds(study.stories) if study.hears(w["model"]) else []),
            *latents(study),
        ],
        ancient=True,
    ),
    Rule(
        "extract_own_features",
        outputs=_FEATURES,
        jobs=_models(*OWN),
        need=_extracting_own,
        params=_EXTRACTING | {"files": lambda study, w: study.own_files(w["model"])},
        means=_means,
        numbers=("own",),
        sources=lambda study, w: study.local_weights(w["model"]),
        ancient=True,
    ),
    Rule(
        "extract_derived_features",
        outputs=_FEATURES,
        jobs=_models("derived"),
        need=_reducing,
        params={
            "training": lambda study, w: study.training_stories,
            "layers": lambda study, w: study.derived_layers(w["model"]),
            "settings": lambda study, w: study.picked("dataset.trim", "features.on_disk"),
            "features": lambda study, w: feature_settings(study, w["model"]),
            "extractor": lambda study, w: feature_numbers(study, w["model"]),
        },
        numbers=("reduced",),
        ancient=True,
    ),
)
