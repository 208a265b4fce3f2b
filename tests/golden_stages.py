"""What each stage of `voxscale.versions` computes on a tiny input: its golden numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import h5py
import numpy as np
import pandas as pd
from golden_inputs import controls, models, own, phantom, reduced, responses, speech, stories, text
from golden_numbers import ROOT, kept, of_frame, of_tables

from voxscale.io import tables


def encoding(folder: Path) -> dict[str, list[float]]:
    import cell_study

    from voxscale.encoding import predict_cell, weigh_cell

    study = cell_study.made_study(folder)
    # Of the smallest alphas of the default grid several fit these voxels alike: rounding would choose.
    changes = {"n_train": 3, "alphas": {"log10_min": -1, "log10_max": 2, "n": 7}}
    study.fit(n_draws=2, **changes)
    found = of_tables(folder, scores="scores.parquet")
    data, scores = study.data(**changes), folder / "scores.parquet"
    predict_cell(data, scores, folder / "predictions.h5")
    weigh_cell(data, scores, folder / "weights.h5")
    for name, parts in {
        "moments": ["moments"],
        "predictions": ["oof", "test"],
        "weights": ["weights"],
    }.items():
        with h5py.File(folder / f"{name}.h5") as file:
            found |= {f"{name}.{part}": kept(file[part]) for part in parts}
    return found


def banded(folder: Path) -> dict[str, list[float]]:
    import cell_study

    from voxscale.encoding import fit_banded
    from voxscale.features import store

    study = cell_study.made_study(folder)
    rng = np.random.default_rng(1)
    files = {story: folder / f"other-{story}.h5" for story in study.x}
    for story, values in study.x.items():
        other = rng.standard_normal((len(values), 4)) + values[:, :4]
        store.write_features(files[story], {1: other.astype(np.float32)}, {})
    store.write_feature_index(folder / "other.h5", files)
    changes = {"alphas": {"log10_min": -1, "log10_max": 2, "n": 7}}
    bands = [study.data(**changes), study.data(features="other.h5", model="other", layer=1, **changes)]
    cell = {**bands[0].cell, "model": "banded-two", "layer": 0}
    fit_banded(bands, cell, 5, folder / "scores.parquet", folder / "bands.parquet")
    return of_tables(folder, scores="scores.parquet", bands="bands.parquet")


def ceiling(folder: Path) -> dict[str, list[float]]:
    from voxscale.scores import write_ceiling

    rng = np.random.default_rng(0)
    signal = np.linspace(0, 1.5, 30)[:, None] * rng.normal(size=(30, 120))
    repeats = (signal + rng.normal(size=(5, 30, 120))).astype(np.float32)
    subject = SimpleNamespace(
        n_voxels=30,
        voxels=np.arange(100, 130),
        test_stories=["t"],
        n_repeats=lambda story: 5,
        ceiling_stories=["t"],
        repeats=lambda story, part: repeats[:, part],
    )
    settings = {"skip_s": 40, "tr_s": 2.0, "floor": None, "interval": 0.9}
    with mock.patch("voxscale.scores.ceiling.open_subject", return_value=subject):
        paths = folder / "ceiling.parquet", folder / "drift.parquet"
        write_ceiling("S1.h5", *paths, "S1", settings, {100 + i: "AB"[i % 2] for i in range(30)})
    return of_tables(folder, ceiling="ceiling.parquet", drift="drift.parquet")


def lags(folder: Path) -> dict[str, list[float]]:
    import simulated_lags

    from voxscale.scores import write_lags

    inputs = simulated_lags.write(folder, stories=4, trs=80, voxels=20, late_s={"s1": 4.0})
    paths = folder / "lags.parquet", folder / "lag_curves.parquet"
    write_lags(*inputs, *paths, "S1", simulated_lags.SETTINGS)
    return of_tables(folder, lags="lags.parquet", lag_curves="lag_curves.parquet")


class Cells(NamedTuple):
    """Cells of nested models and two subjects: their scores, moments and cards."""

    cells: list[tuple[str, int, str, int]]
    scores: list[Path]
    moments: list[Path]
    cards: list[Path]


def write_cells(folder: Path, sizes=(4, 16, 64), voxels=12) -> Cells:
    """A study whose scores follow from its moments."""
    from simulated_study import nested, write_moments

    found = Cells([], [], [], [])
    for size in sizes:
        found.cards.append(folder / f"nested-{size}.json")
        about = {"model": f"nested-{size}", "family": "nested", "modality": "nested", "n_layers": 1}
        about |= {"width": size, "parameters": 1000 * size, "parameters_non_embedding": 900 * size}
        found.cards[-1].write_text(json.dumps(about))
    for i, subject in enumerate(("S1", "S2")):
        predicted, observed, _ = nested(np.array(sizes), voxels=voxels, trs=400, seed=10 + i)
        for size, p in zip(sizes, predicted, strict=True):
            r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(p, observed, strict=True)])
            known = {"model": f"nested-{size}", "layer": 1, "subject": subject, "n_train": 5, "draw": 0}
            columns = {name: [value] * voxels for name, value in known.items()}
            columns |= {
                "voxel": range(voxels),
                "r": r,
                "r_uncut": r + 0.1,
                "r_ceiling": 0.8 * r,
                "cv_r": 0.9 * r,
            }
            columns |= {"p": np.where(r > 0.1, 0.001, 0.5), "alpha": np.ones(voxels)}
            columns |= {"alpha_edge": np.arange(voxels) % 3 - 1, "n_features": [4 * size] * voxels}
            columns |= {"train_trs": [300] * voxels, "train_hours": [0.2] * voxels}
            name = f"{subject}-{size}"
            tables.write("scores", columns, folder / f"{name}.parquet")
            found.cells.append(tuple(known[key] for key in ("model", "layer", "subject", "n_train")))
            found.scores.append(folder / f"{name}.parquet")
            found.moments.append(write_moments(folder / f"{name}.h5", p[None], observed, {"t": 400}))
    return found


RESAMPLED = {"skip_s": 40, "tr_s": 2.0, "block_trs": 10, "draws": 50, "interval": 0.9, "seed": 0}


def scores(folder: Path) -> dict[str, list[float]]:
    from voxscale.scores import gather_scores, write_artifact, write_layers, write_room

    study, ceilings, regions = write_cells(folder), [], {}
    for subject in ("S1", "S2"):
        schema, n = tables.SCHEMAS["ceiling"], 12
        columns = {name: np.linspace(0.1, 0.9, n) for name in schema.names}
        columns |= {"subject": [subject] * n, "voxel": range(n), "n_repeats": [5] * n}
        ceilings.append(folder / f"{subject}-ceiling.parquet")
        tables.write("ceiling", columns | {"reliable": np.arange(n) >= 2}, ceilings[-1])
        regions[subject] = folder / f"{subject}.tsv"
        rows = [f"{i}\tleft\t{i}\t{'AC' if i < 6 else 'n/a'}\n" for i in range(n)]
        regions[subject].write_text("voxel\themisphere\tvertex\troi\n" + "".join(rows))
    names = ("all", "summary", "voxels", "room", "layers", "layer_choice", "artifact")
    paths = {name: folder / f"{name}.parquet" for name in names}
    settings = {"fdr": 0.05, "n_alphas": 15, "skip_s": 40, "tr_s": 2.0}
    references = [(study.scores[i], study.moments[i]) for i in (2, 5)]
    gathered = paths["all"], paths["summary"], paths["voxels"]
    gather_scores(study.scores, study.cards, ceilings, regions, *gathered, references, {}, settings)
    write_room(paths["all"], paths["voxels"], paths["room"])
    chosen = study.scores[:3], study.moments[:3], paths["summary"], paths["voxels"]
    write_layers(study.cells[:3], *chosen, paths["layers"], paths["layer_choice"], RESAMPLED)
    write_artifact(study.cells[2:3], study.moments[2:3], paths["voxels"], paths["artifact"], RESAMPLED)
    return of_tables(folder, **{name: paths[name].name for name in names[1:]})


def stacking(folder: Path) -> dict[str, list[float]]:
    from voxscale.stacking import write_stacking

    rng, lengths, n = np.random.default_rng(0), {"a": 150, "b": 100, "t": 120}, 12
    first, second, noise = ({s: rng.normal(size=(n, m)) for s, m in lengths.items()} for _ in range(3))
    observed = {s: (5 + first[s] + 0.7 * second[s] + noise[s]).astype(np.float32) for s in lengths}
    subject = SimpleNamespace(
        n_voxels=n, voxels=np.arange(n), n_trs=lengths.get, read=lambda story, part: observed[story][part]
    )
    paths, cards = [], []
    for model, source, modality in (("lm", first, "language"), ("sp", second, "speech")):
        paths.append(folder / f"{model}.h5")
        with h5py.File(paths[-1], "w") as file:
            file["oof"] = np.concatenate([source["a"], source["b"]], 1).astype(np.float32)
            file["test"], file["voxel"] = source["t"].astype(np.float32), subject.voxels
            for role, names in (("train", ["a", "b"]), ("test", ["t"])):
                file.create_dataset(f"{role}_story", data=names, dtype=h5py.string_dtype())
                file[f"{role}_trs"] = [lengths[name] for name in names]
        cards.append(folder / f"{model}.json")
        cards[-1].write_text(json.dumps({"modality": modality}))
    outputs = folder / "stacking.parquet", folder / "weights.parquet"
    cells = [("lm", 3, "S", 2), ("sp", 1, "S", 2)]
    settings = RESAMPLED | {"zscore_test": "story", "memory_gb": 4}
    with mock.patch("voxscale.stacking.subject.open_subject", return_value=subject):
        write_stacking(paths, cards, folder / "S.h5", *outputs, cells, settings)
    return of_tables(folder, stacking="stacking.parquet", stacking_weights="weights.parquet")


def laws(folder: Path) -> dict[str, list[float]]:
    from simulated_study import summary_row, write_voxels

    from voxscale.features import store
    from voxscale.laws import write_joint, write_law, write_plateau

    sizes = (4, 8, 16, 32, 64)
    study = write_cells(folder, sizes)
    cells = [(model, layer, subject, n) for model, layer, subject, _ in study.cells for n in (2, 4, 6, 8)]
    rows = [
        summary_row(model=model, subject=subject, n_train=n, train_hours=n / 4)
        | {"parameters": 1000 * int(model.split("-")[1]), "width": int(model.split("-")[1])}
        for model, _, subject, n in cells
    ]
    tables.write("summary", rows, folder / "summary.parquet")
    write_voxels(folder / "voxels.parquet", ["S1", "S2"], 12)
    inputs = folder / "summary.parquet", folder / "voxels.parquet"
    settings = RESAMPLED | {"layer_choice": "cv"}
    outputs = [folder / f"{name}.parquet" for name in ("laws", "law_points", "law_curves")]
    spec = {"sweep": "x", "x": "parameters", "voxels": ["all"], "n_draws": 1}
    at_once = [cell for cell in cells if cell[3] == 8]
    write_law("size", at_once, study.moments, *inputs, *outputs, spec=spec, settings=settings)
    # More stories: a share of the noise goes.
    joint, moments = [folder / f"{name}.parquet" for name in ("joint", "joint_surface", "what_next")], []
    for i, (_, _, _, n) in enumerate(cells):
        moments.append(folder / f"joint-{i}.h5")
        moments[-1].write_bytes(study.moments[i // 4].read_bytes())
        with h5py.File(moments[-1], "a") as file:
            file["moments"][:, :, 2:4] *= 1 + 2 / n  # sums of squares: as if noise were added
    spec = {"voxels": ["all"], "n_draws": 1, "n_train": [2, 4, 6, 8], "stories": {"S1": 8, "S2": 8}}
    write_joint(cells, moments, *inputs, *joint, spec, settings)
    indices = {}
    for size in sizes:
        known = {"n_words": 100, "n_characters": 500 + size, "bits_per_character": 2 - 0.1 * np.log2(size)}
        store.write_features(folder / f"{size}-a.h5", {0: np.zeros((4, 2), np.float32)}, known)
        indices[f"nested-{size}"] = folder / f"{size}.index.h5"
        store.write_feature_index(indices[f"nested-{size}"], {"a": folder / f"{size}-a.h5"})
    plateau = folder / "plateau.parquet", folder / "plateau_fits.parquet"
    write_plateau(outputs[1], indices, *plateau)
    paths = [*outputs, *joint, *plateau]
    return of_tables(folder, **{path.stem: path.name for path in paths})


def study_frames() -> dict[str, pd.DataFrame]:
    """Tables of a small made-up study."""
    import study_tables as study
    import voxel_tables

    rng = np.random.default_rng(0)
    summary = study.summary(rng)
    points = pd.concat([study.law_points(summary, law) for law in ("language", "speech", "training")])
    found = {"summary": summary, "law_points": points, "subjects": study.subjects()}
    found["laws"] = pd.concat([study.laws(part) for _, part in points.groupby("law")])
    return found | {
        "voxels": voxel_tables.voxels(rng, 40),
        "layer_choice": study.layer_choice(),
        "artifact": study.artifact(rng),
        "joint": study.joint()[0],
        "what_next": study.joint()[2],
        "comparison_sets": voxel_tables.comparison(rng, 4)[1].iloc[:0],
    }


def figures(folder: Path) -> dict[str, list[float]]:
    import matplotlib.pyplot as plt

    from voxscale.figures.scaling import draw_law

    made = study_frames()
    curves = pd.DataFrame(columns=[field.name for field in tables.SCHEMAS["law_curves"]])
    frames = [made[name] for name in ("law_points", "laws")]
    figure, drawn = draw_law(*frames, curves, made["summary"], law="language")
    plt.close(figure)
    return of_frame(drawn, "csv")


class _Cells(HTMLParser):
    """Texts of a page's table cells."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.found = False, []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.inside = tag == "td" or (self.inside and tag != "tr")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found.append(data)


def report(folder: Path) -> dict[str, list[float]]:
    import study_tables as study

    from voxscale.report import write_report

    config = {
        "dataset": {"kind": "phantom", "root": "results/phantom", "subjects": list(study.SUBJECTS)},
        "encoding": {"alphas": {"scale": "kernel", "log10_min": -3, "log10_max": 2}},
        "laws": {"language": {"x": "parameters"}, "speech": {"x": "parameters"}, "training": {"x": "hours"}},
    }
    template = ROOT / "workflow/report/report.html.j2"
    chief = {kind: kind for kind in ("language", "speech", "training")}
    write_report([], study_frames(), config, {}, folder / "report.html", template=template, chief_laws=chief)
    page = _Cells()
    page.feed((folder / "report.html").read_text())
    text = " ".join(page.found).replace("−", "-").replace(",", "")
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]
    return {"cells": [len(numbers), *numbers[:: max(1, len(numbers) // 60)], float(np.mean(numbers))]}


class Stage(NamedTuple):
    """How a stage's golden numbers are made in a folder, and how far they may differ on another machine.

    Float32 sums differ by the processor; searches and resamples pass such differences on.
    """

    compute: Callable[[Path], Mapping[str, list[float]]]
    tolerance: float = 1e-4


STAGES = {
    "phantom": Stage(phantom),
    "stories": Stage(stories),
    "responses": Stage(responses),
    "lags": Stage(lags),
    "models": Stage(models),
    "text": Stage(text),
    "speech": Stage(speech, 1e-3),
    "controls": Stage(controls),
    "own": Stage(own),
    "reduced": Stage(reduced),
    "encoding": Stage(encoding, 1e-3),
    "banded": Stage(banded, 1e-3),
    "ceiling": Stage(ceiling),
    "scores": Stage(scores),
    "stacking": Stage(stacking, 1e-3),
    "laws": Stage(laws, 1e-3),
    "figures": Stage(figures),
    "report": Stage(report, 1e-2),
}
