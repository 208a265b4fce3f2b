"""Files of one small subject and one model, as a fit of a cell takes them."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from voxscale.encoding import fit as encoding
from voxscale.features import store as feature_store
from voxscale.io import tables
from voxscale.study.config import PRESETS, merge, read_yaml

HOME = Path(__file__).parents[1]
STORIES = {"a": 40, "b": 55, "c": 48, "d": 62, "e": 45, "t": 70, "u": 64}
TEST = ["t", "u"]
VOXELS, WIDTH, TRIM = 60, 9, (4, 3)
COLUMNS = np.arange(VOXELS) * 2 + 1  # the dataset's own numbers of the voxels that were kept


def settings_of(preset="strict", **changes):
    presets = read_yaml(PRESETS)[preset]
    given = {
        "delays": [1, 2],
        "form": "auto",
        "precision": "float32",
        "screen": "auto",
        "device": "cpu",
        "memory_gb": 2,
        "seed": 3,
        "block_trs": 10,
        "permutations": 99,
        "tr_s": 2.0,
        "trim": list(TRIM),
    }
    full = {**presets["encoding"], **presets["scoring"], **given, "skip_s": 40}
    full["folds"] = {**full["folds"], "n": 3, "chunk_trs": 8}
    return merge(full, changes)


@dataclass
class Study:
    """Files of one subject and one model, and what is in them."""

    folder: Path
    x: dict
    y: dict

    def data(self, n_train=5, n_draws=1, features="m.h5", model="m", layer=2, **changes):
        cell = {"model": model, "layer": layer, "subject": "S1", "n_train": n_train, "n_draws": n_draws}
        files = [self.folder / name for name in (features, "S1.h5", "S1.parquet")]
        return encoding.CellData(*files, cell, settings_of(**changes), self.sources)

    @property
    def sources(self):
        return {"responses": {story: [f"digest of {story}"] for story in STORIES}, "code": 1}

    def fit(self, **changes):
        outputs = {
            "scores_out": self.folder / "scores.parquet",
            "moments_out": self.folder / "moments.h5",
        }
        encoding.fit_cell(self.data(**changes), **outputs)
        return tables.read("scores", self.folder / "scores.parquet").to_pandas()


def write_study(folder, x, y, sha=None, roles=None):
    """Write the files of a study; `roles` of the stories, where they are not those of fixed test stories."""
    files = {}
    for story, values in x.items():
        files[story] = feature_store.feature_path(folder / "stories", "m", story, "0123")
        feature_store.write_features(files[story], {2: values}, {})
    feature_store.write_feature_index(folder / "m.h5", files)
    with h5py.File(folder / "S1.h5", "w") as file:
        file.attrs.update(format="voxscale-responses-1", provenance="{}")
        file.attrs.update(stories=json.dumps(list(STORIES)), test_stories=json.dumps(TEST))
        file["voxels"] = COLUMNS.astype(np.int32)
        for story, values in y.items():
            group = file.create_group(story)
            group["data"] = values
            group.attrs.update(n_trs=values.shape[1], n_repeats=3 if story == TEST[0] else 0)
    rows = [
        {
            "subject": "S1",
            "story": story,
            "role": (roles or {}).get(story, "test" if story in TEST else "train"),
            "n_tr": n,
            "hours": n / 1800,
            "n_words": 100,
            "stimulus_sha": (sha or {}).get(story, story),
        }
        for story, n in STORIES.items()
    ]
    tables.write("subjects", rows, folder / "S1.parquet")
    return Study(folder, x, y)


def made_study(folder):
    """Five training and two test stories; responses with an offset and a scale of their own."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((WIDTH, VOXELS)) * np.linspace(0, 0.6, VOXELS)
    x, y = {}, {}
    for story, n in STORIES.items():
        x[story] = (random.standard_normal((n + sum(TRIM), WIDTH)) * 3 + 5).astype(np.float32)
        driven = np.roll(x[story], 1, 0)[TRIM[0] : TRIM[0] + n] @ weights
        noise = 2 * random.standard_normal((n, VOXELS))
        y[story] = (7 + 4 * (driven + noise)).T.astype(np.float32)
    return write_study(folder, x, y)
