"""Time of stacking one subject and of the permutations of a fit, on simulated data of the published size.

python benchmarks/bench_stacking.py [--only stacking permutations] [--folder results/scratch/bench_stacking]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections

from voxscale.dataset.responses import RESPONSES_FORMAT
from voxscale.encoding.data import CellData
from voxscale.encoding.fit import fit_draw
from voxscale.features import store as feature_store
from voxscale.io import tables
from voxscale.io.files import write_json
from voxscale.stacking.subject import write_stacking

VOXELS, MEMBERS, TRS, TEST_TRS = 95_000, 12, 330, 291
DRAWN = 1024  # voxels with numbers of their own; the files show them again and again
FIT_VOXELS, FIT_STORIES, WIDTH, TRIM = 20_000, 10, 1024, (10, 5)
SETTINGS: dict[str, Any] = {
    "zscore_test": "training",
    "delays_across_stories": False,
    "folds": {"kind": "stories", "n": 5, "chunk_trs": 40, "held_out_share": 0.2},
    "alphas": {"scale": "kernel", "log10_min": -3, "log10_max": 2, "n": 15},
    "delays": [1, 2, 3, 4],
    "form": "auto",
    "precision": "float32",
    "screen": "auto",
    "device": "cpu",
    "memory_gb": 4,
    "seed": 0,
    "skip_s": 100.0,
    "tr_s": 2.0,
    "trim": TRIM,
    "block_trs": 10,
    "draws": 1000,
    "interval": 0.9,
}


def again(file: h5py.File, name: str, values: np.ndarray, voxels: int) -> None:
    """A dataset (voxels, TRs) that repeats the rows of `values`, which are stored once."""
    group, _, last = name.rpartition("/")
    at = file.require_group(group) if group else file
    at[f"drawn_{last}"] = values
    layout = h5py.VirtualLayout((voxels, values.shape[1]), values.dtype)
    for start in range(0, voxels, len(values)):
        n = min(len(values), voxels - start)
        layout[start : start + n] = h5py.VirtualSource(at[f"drawn_{last}"])[:n]
    at.create_virtual_dataset(last, layout)


def names(stories: int) -> list[str]:
    """Names of training stories."""
    return [f"story{i:02}" for i in range(stories)]


def write_responses(path: Path, stories: int, voxels: int, rng: np.random.Generator) -> None:
    """Responses of one subject, as `prepare_responses` writes them."""
    with h5py.File(path, "w") as file:
        for story, trs in (*((name, TRS) for name in names(stories)), ("test", TEST_TRS)):
            again(file, f"{story}/data", rng.standard_normal((min(DRAWN, voxels), trs), np.float32), voxels)
            file[story].attrs["n_trs"], file[story].attrs["n_repeats"] = trs, 0
        file["voxels"] = np.arange(voxels, dtype=np.int32)
        file.attrs["stories"] = json.dumps([*names(stories), "test"])
        file.attrs["test_stories"] = json.dumps(["test"])
        file.attrs["provenance"], file.attrs["format"] = "{}", RESPONSES_FORMAT


def time_stack(folder: Path, n_stories: int) -> float:
    """Seconds of stacking one subject, without the time to make its files."""
    rng = np.random.default_rng(0)
    write_responses(folder / "responses.h5", n_stories, VOXELS, rng)
    shared = rng.standard_normal((DRAWN, n_stories * TRS + TEST_TRS), np.float32)
    for i in range(MEMBERS):
        with h5py.File(folder / f"{i}.h5", "w") as file:
            values = 0.1 * (shared + rng.standard_normal(shared.shape, np.float32))
            again(file, "oof", values[:, :-TEST_TRS], VOXELS)
            again(file, "test", values[:, -TEST_TRS:], VOXELS)
            file["voxel"] = np.arange(VOXELS, dtype=np.int32)
            for role, stories, trs in (("train", names(n_stories), TRS), ("test", ["test"], TEST_TRS)):
                file.create_dataset(f"{role}_story", data=stories, dtype=h5py.string_dtype())
                file[f"{role}_trs"] = [trs] * len(stories)
        modality = "language" if i < MEMBERS // 2 else "speech"
        write_json(folder / f"{i}.json", {"model": str(i), "modality": modality})
    start = time.perf_counter()
    write_stacking(
        [folder / f"{i}.h5" for i in range(MEMBERS)],
        [folder / f"{i}.json" for i in range(MEMBERS)],
        folder / "responses.h5",
        folder / "stacking.parquet",
        folder / "weights.parquet",
        [(str(i), 0, "made-up", n_stories) for i in range(MEMBERS)],
        SETTINGS,
    )
    return time.perf_counter() - start


def time_fits(folder: Path, permutations: tuple[int, ...], rounds: int = 3) -> dict[int, float]:
    """Seconds of one draw of a fit for each number of permutations, the fastest of several rounds."""
    rng = np.random.default_rng(0)
    write_responses(folder / "responses.h5", FIT_STORIES, FIT_VOXELS, rng)
    stories = {**dict.fromkeys(names(FIT_STORIES), TRS), "test": TEST_TRS}
    files = {story: folder / f"features/{story}.h5" for story in stories}
    for story, trs in stories.items():
        values = rng.standard_normal((trs + sum(TRIM), WIDTH), np.float32)
        feature_store.write_features(files[story], {0: values}, {}, "float32")
    feature_store.write_feature_index(folder / "features.h5", files)
    rows = [
        {"subject": "made-up", "story": story, "role": "test" if story == "test" else "train"}
        | {"n_tr": trs, "hours": trs / 1800, "n_words": 0, "stimulus_sha": story}
        for story, trs in stories.items()
    ]
    tables.write("subjects", rows, folder / "subject.parquet")
    named = {"model": "m", "layer": 0, "subject": "made-up", "n_train": FIT_STORIES, "n_draws": 1}
    found = {number: float("inf") for number in permutations}
    for _ in range(rounds):
        for number in permutations:
            settings = SETTINGS | {"permutations": number}
            paths = (folder / name for name in ("features.h5", "responses.h5", "subject.parquet"))
            cell = CellData(*paths, named, settings)
            start = time.perf_counter()
            fit_draw(cell, 0)
            found[number] = min(found[number], time.perf_counter() - start)
    return found


def peak_gb() -> float:
    """Largest resident memory of this process so far."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) / 1e6


def stacking(folder: Path, n_stories: int) -> str:
    """The section on stacking."""
    seconds, n_trs = time_stack(folder, n_stories), n_stories * TRS
    size = 4e-9 * VOXELS * (MEMBERS + 1) * (n_trs + TEST_TRS)
    return f"""## Stacking one subject

{sections.machine()}

`write_stacking` whole, from the members' files to the two tables: {VOXELS:,} voxels, {MEMBERS} members (half
of language, half of speech), {n_trs:,} training and {TEST_TRS} test TRs, 1,000 resamples. Predictions
are made up; each file shows {DRAWN:,} drawn voxels again and again, so that they were read from the kernel's
cache: a disk adds its own time for {size:.0f} GB.

| | |
| --- | --- |
| time | {seconds / 60:.1f} min, {1e3 * seconds / VOXELS:.1f} ms a voxel |
| peak memory | {peak_gb():.1f} GB |
"""


def permutations(folder: Path, _: int) -> str:
    """The section on permutations, which has its own stories."""
    none, many = time_fits(folder, (0, 1000)).values()
    return f"""## What permutations cost

{sections.machine()}

One draw of a fit as a job runs it, fastest of three: {FIT_VOXELS:,} voxels, {FIT_STORIES * TRS:,} training
TRs, {TEST_TRS} test TRs, {WIDTH:,} features at 4 delays, 15 alphas. Predictions are made once and permuted in
blocks.

| permutations of each voxel | seconds |
| --- | --- |
| none | {none:.1f} |
| 1,000 | {many:.1f} ({many / none - 1:+.0%}) |
"""


def main() -> None:
    """Measure, and write the sections `stacking` and `permutations` of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"permutations": permutations, "stacking": stacking}
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--stories", type=int, default=82, help="training stories of the stack")
    parser.add_argument("--folder", type=Path, default=ROOT / "results/scratch/bench_stacking")
    given = parser.parse_args()
    torch.set_num_threads(2)
    for name in given.only:
        given.folder.mkdir(parents=True, exist_ok=True)
        try:
            text = parts[name](given.folder, given.stories)
        finally:
            shutil.rmtree(given.folder, ignore_errors=True)
        print(text)
        sections.write(name, text)


if __name__ == "__main__":
    main()
