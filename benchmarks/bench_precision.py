"""What half precision, a shared front end and a longer stride change in features and scores of a study.

`bench_precision.py --directory FOLDER`, where FOLDER/results holds the demo's stories, responses and models.
Nothing is written there; a copy of the features goes into a temporary folder.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections  # noqa: E402

from voxscale import feature_store, speech_features, text_features  # noqa: E402
from voxscale.encoding import Cell, fit_draw  # noqa: E402
from voxscale.io import read_json, write_json  # noqa: E402
from voxscale.models.prepare import prepare  # noqa: E402
from voxscale.plan import load_jobs  # noqa: E402
from voxscale.provenance import hash_config  # noqa: E402
from voxscale.study import Study  # noqa: E402

SAME: dict[str, Any] = {"dtype": "float32", "on_disk": "float32"}
HALVES = [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"on_disk": "float16"}]
# model -> settings to start from, then one change at a time
PLANS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "tiny-opt-4": ({}, HALVES),
    "tiny-llama-2": ({}, HALVES),
    "smollm2-135m": ({}, HALVES),
    "tiny-whisper-2": ({"stride_s": 0.1}, [*HALVES, *({"stride_s": s} for s in (0.2, 0.5, 1.0, 2.0))]),
    "tiny-hubert-2": ({"stride_s": 0.5}, [*HALVES, {"stride_s": 1.0}, {"stride_s": 2.0}]),
    "tiny-hubert-2-normalising": ({"stride_s": 0.5}, [{"front_end": "story"}]),
}
NORMALISING = "-normalising"


class Scores(NamedTuple):
    """What one way of extracting gives."""

    features: np.ndarray  # (TRs of all stories, width)
    r: np.ndarray  # (voxels of all subjects,)


def card_of(study: Study, model: str, folder: Path) -> Path:
    """The model's card: the study's own, or one prepared now from a local folder of the registry."""
    if model.endswith(NORMALISING):
        return normalising(card_of(study, model.removesuffix(NORMALISING), folder), folder)
    made = Path(f"results/models/{model}.json")
    if made.exists():
        return made
    card = folder / f"{model}.json"
    if not card.exists():
        prepare(study.registry[model], card)
    return card


def run(study: Study, model: str, settings: Mapping[str, Any], folder: Path) -> Scores:
    """Extract one layer of all stories and fit it in every subject at full training size."""
    card, entry = card_of(study, model, folder), study.registry[model.removesuffix(NORMALISING)]
    layer = round(0.75 * entry.n_layers)
    index = folder / f"{model}-{hash_config(settings)}.h5"
    stories = {s: Path("results/stories") / s for s in study.stories}
    clocks = {s: path / "clock.parquet" for s, path in stories.items()}
    if entry.modality == "language":
        of, sources = text_features, {s: path / "words.parquet" for s, path in stories.items()}
    else:
        of, sources = speech_features, dict(zip(stories, study.sounds(study.stories), strict=True))
    paths = {s: (sources[s], clocks[s]) for s in stories}
    of.extract(card, paths, index, folder / "stories", settings, [layer])
    r = []
    for subject in study.subjects:
        n_train = len(study.grid.training[subject])
        cell = {"model": model, "layer": layer, "subject": subject, "n_train": n_train, "n_draws": 1}
        tables = Path("results/subjects") / f"{subject}.parquet"
        this = Cell(
            index,
            Path(f"results/responses/{subject}.h5"),
            tables,
            cell,
            {**study.fit_settings(), "permutations": 0},
        )
        r.append(fit_draw(this, 0)["r"])
    rows = np.concatenate([feature_store.read(index, s, layer) for s in stories])
    return Scores(rows, np.concatenate(r))


def normalising(card: Path, folder: Path) -> Path:
    """The same model with a feature extractor that normalises, as those of published large models do."""
    content = read_json(card)
    other = folder / "normalising"
    if not other.exists():
        shutil.copytree(content["path"], other)
        path = other / "preprocessor_config.json"
        write_json(path, read_json(path) | {"do_normalize": True})
    made = folder / f"{content['model']}-normalising.json"
    write_json(made, content | {"path": str(other), "weights_id": content["weights_id"] + "#normalising"})
    return made


def table(study: Study, models: Sequence[str], folder: Path) -> str:
    """One row per change: likeness of the features, mean r, mean and largest change of r over voxels."""
    rows = [
        "| model | change | correlation of the features | mean r | mean Δr | largest Δr in a voxel |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for model in models:
        base, changes = PLANS[model]
        start = study.feature_settings(model.removesuffix(NORMALISING)) | SAME | base
        first = run(study, model, start, folder)
        told = ", ".join(["float32", *(f"{k} {v}" for k, v in base.items())])
        rows.append(f"| {model} | {told} | 1 | {np.nanmean(first.r):.4f} | | |")
        print(rows[-1], flush=True)
        for change in changes:
            found = run(study, model, start | change, folder)
            alike = np.corrcoef(found.features.ravel(), first.features.ravel())[0, 1]
            delta = found.r - first.r
            what = ", ".join(f"{key}: {value}" for key, value in change.items())
            rows.append(
                f"| {model} | {what} | {alike:.5f} | {np.nanmean(found.r):.4f} | {np.nanmean(delta):+.5f} "
                f"| {np.nanmax(np.abs(delta)):.4f} |"
            )
            print(rows[-1], flush=True)
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the section `precision` of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=".", help="where the finished demo's results/ is")
    parser.add_argument("--models", nargs="+", default=list(PLANS), choices=PLANS)
    options = parser.parse_args(arguments)
    study = load_jobs(None, options.directory).study
    with tempfile.TemporaryDirectory() as folder:
        found = table(study, options.models, Path(folder))
    sections.write(
        "precision",
        f"""## What half precision and a longer stride change

{sections.machine()} Each change by itself, against the first row of its model: the
demo's stories and subjects ({", ".join(study.subjects)}), the layer at 3/4 of the depth, all training
stories, the demo's settings otherwise. `dtype` is that of the forward pass, `on_disk` that of the stored
features.
(`benchmarks/bench_precision.py`)

{found}
""",
    )


if __name__ == "__main__":
    main()
