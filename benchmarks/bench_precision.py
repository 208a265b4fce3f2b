"""How half precision, a shared front end and a longer stride change the features and scores of a study.

    bench_precision.py [--study demo smollm2] [--models MODEL ...]

What the study needs is made first, where it is not there: stories, responses and models. The features are
made in a temporary folder. SmolLM2 is left out where `make smollm2` has not fetched its weights.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections

from voxscale.encoding.data import CellData
from voxscale.encoding.fit import fit_draw
from voxscale.features import extract_speech, extract_text, read_features
from voxscale.io.files import read_json, write_json
from voxscale.jobs import load_jobs
from voxscale.provenance import hash_config
from voxscale.study import Study, feature_means, feature_settings, fit_means, fit_settings

# As the study has it otherwise; bits per character are no feature.
SAME: dict[str, Any] = {"dtype": "float32", "on_disk": "float32", "bits_per_character": False}
Change = dict[str, Any]
BFLOAT, FLOAT16, STORED = {"dtype": "bfloat16"}, {"dtype": "float16"}, {"on_disk": "float16"}
HALVES: list[Change] = [BFLOAT, FLOAT16, STORED]
# study -> its config, its folder, and per model settings to start from, each with changes made one at a time
STUDIES: dict[str, tuple[str, str, dict[str, list[tuple[Change, list[Change]]]]]] = {
    "demo": (
        "config/demo.yaml",
        ".",
        {
            "tiny-opt-4": [({}, HALVES)],
            "tiny-llama-2": [({}, HALVES)],
            "tiny-whisper-2": [
                ({}, HALVES),
                ({"stride_s": 0.1}, [{"stride_s": s} for s in (0.2, 0.5, 1.0, 2.0)]),
            ],
            "tiny-hubert-2": [({}, HALVES), ({"stride_s": 0.5}, [{"stride_s": 1.0}, {"stride_s": 2.0}])],
            "tiny-hubert-2-normalising": [({}, [{"front_end": "story"}])],
        },
    ),
    # Its float16 pass is left out: this kind of CPU has no float16 products, and takes an hour.
    "smollm2": ("config/smollm2.yaml", "results/smollm2", {"smollm2-135m": [({}, [BFLOAT, STORED])]}),
}
NORMALISING = "-normalising"


class Scores(NamedTuple):
    """Features, scores and alphas with one group of settings."""

    features: np.ndarray  # (TRs of all stories, width)
    r: np.ndarray  # (voxels of all subjects,)
    alpha: np.ndarray  # (voxels of all subjects,)


def make(config: str, directory: Path, study: Study, models: Sequence[str]) -> None:
    """Make the stories, responses and models of a study that do not exist yet."""
    places = ("responses/{}.h5", "subjects/{}.parquet")
    wanted = [f"results/{place.format(subject)}" for subject in study.subjects for place in places]
    wanted += sorted({f"results/models/{model.removesuffix(NORMALISING)}.json" for model in models})
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--quiet", "all"]
    command += ["--directory", str(directory), "--configfile", str(ROOT / config), "--", *wanted]
    subprocess.run(command, check=True, cwd=ROOT)


def card_of(model: str, folder: Path) -> Path:
    """The model's card."""
    made = Path(f"results/models/{model.removesuffix(NORMALISING)}.json")
    return normalising(made, folder) if model.endswith(NORMALISING) else made


def run(study: Study, model: str, settings: Mapping[str, Any], folder: Path) -> Scores:
    """Extract one layer of all stories and fit it in every subject at full training size."""
    card, entry = card_of(model, folder), study.registry[model.removesuffix(NORMALISING)]
    layer = round(0.75 * entry.n_layers)
    index = folder / f"{model}-{hash_config(settings)}.h5"
    stories = {s: Path("results/stories") / s for s in study.stories}
    clocks = {s: path / "clock.parquet" for s, path in stories.items()}
    if entry.modality == "language":
        extract, sources = extract_text, {s: path / "words.parquet" for s, path in stories.items()}
    else:
        extract, sources = extract_speech, dict(zip(stories, study.sounds(study.stories), strict=True))
    paths = {s: (sources[s], clocks[s]) for s in stories}
    extract(card, paths, index, folder / "stories", settings, [layer])
    fitted = []
    for subject in study.subjects:
        n_train = len(study.grid.training[subject])
        cell = {"model": model, "layer": layer, "subject": subject, "n_train": n_train, "n_draws": 1}
        tables = Path("results/subjects") / f"{subject}.parquet"
        this = CellData(
            index,
            Path(f"results/responses/{subject}.h5"),
            tables,
            cell,
            {**fit_settings(study), **fit_means(study), "permutations": 0},
        )
        fitted.append(fit_draw(this, 0))
    rows = np.concatenate([read_features(index, s, layer) for s in stories])
    return Scores(rows, *(np.concatenate([one[key] for one in fitted]) for key in ("r", "alpha")))


def normalising(card: Path, folder: Path) -> Path:
    """The same model with a normalising feature extractor, like that of large published models."""
    content = read_json(card)
    other = folder / "normalising"
    if not other.exists():
        shutil.copytree(content["path"], other)
        path = other / "preprocessor_config.json"
        write_json(path, read_json(path) | {"do_normalize": True})
    made = folder / f"{content['model']}-normalising.json"
    write_json(made, content | {"path": str(other), "weights_id": content["weights_id"] + "#normalising"})
    return made


HEADER = [
    "| model | change | correlation of the features | mean r | mean Δr | voxels with another α | "
    "largest Δr with the same α | with another |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
]


def largest(values: np.ndarray) -> str:
    """Largest absolute value, or nothing if there are no values."""
    return f"{np.nanmax(np.abs(values)):.4f}" if len(values) else ""


def rows_of(study: Study, model: str, plans: list[tuple[Change, list[Change]]], folder: Path) -> list[str]:
    """One row per change: likeness of the features, mean r, and how r and α change over voxels."""
    rows = []
    for base, changes in plans:
        name = model.removesuffix(NORMALISING)
        start = feature_settings(study, name) | feature_means(study, name) | SAME | base
        first = run(study, model, start, folder)
        settings = ", ".join(["float32", *(f"{k}: {v}" for k, v in base.items())])
        rows.append(f"| {model} | {settings} | 1 | {np.nanmean(first.r):.4f} | | | | |")
        print(rows[-1], flush=True)
        for change in changes:
            found = run(study, model, start | change, folder)
            alike = np.corrcoef(found.features.ravel(), first.features.ravel())[0, 1]
            # Grids are scaled to each kernel: the same place in them is not quite the same number.
            delta, same = found.r - first.r, np.isclose(found.alpha, first.alpha, rtol=0.1)
            what = ", ".join(f"{key}: {value}" for key, value in change.items())
            rows.append(
                f"| {model} | {what} | {alike:.5f} | {np.nanmean(found.r):.4f} | {np.nanmean(delta):+.5f} "
                f"| {np.mean(~same):.1%} | {largest(delta[same])} | {largest(delta[~same])} |"
            )
            print(rows[-1], flush=True)
    return rows


def measure(name: str, models: Sequence[str] | None) -> None:
    """Measure one study, and write its section after each model."""
    config, where, plans = STUDIES[name]
    study = load_jobs(ROOT / config, ROOT / where).study
    chosen = [model for model in plans if models is None or model in models]
    if not chosen:
        return
    if missing := [m for m in chosen if m in study.registry and not weights_are_there(study, m)]:
        print(f"{', '.join(missing)}: no weights; `make smollm2` fetches them", file=sys.stderr)
        return
    make(config, ROOT / where, study, chosen)
    rows = list(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        for model in chosen:
            rows += rows_of(study, model, plans[model], Path(folder))
            sections.write(
                f"bench-features: precision, {name}",
                f"""### {TITLES[name]}

{sections.machine()} Each change by itself, against the row above it that names float32: the stories and
subjects ({", ".join(study.subjects)}) of `{config}`, the layer at 3/4 of the depth, all training stories, the
study's settings otherwise. `dtype` is that of the forward pass, `on_disk` that of the stored features.

{chr(10).join(rows)}
""",
            )


def weights_are_there(study: Study, model: str) -> bool:
    """Whether a model of a local folder has one."""
    path = study.registry[model].path
    return path is None or Path(path).exists()


TITLES = {
    "demo": "Half precision, stride and front end on the demo",
    "smollm2": "Half precision on SmolLM2-135M, a real model",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write a section of docs/benchmarks.md for each study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", nargs="+", default=list(STUDIES), choices=STUDIES)
    parser.add_argument("--models", nargs="+", help="only these")
    options = parser.parse_args(arguments)
    for name in options.study:
        measure(name, options.models)


if __name__ == "__main__":
    main()
