"""Memory of gathering a large study: made-up scores of 300 million voxels, gathered as the workflow does.

    python benchmarks/bench_gather.py [--rows 300000000] [--folder results/scratch/bench_gather]

Cells have 95,000 voxels, as one subject of ds003020 has; each third one has five draws. Some 10 GB of disk.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections

from voxscale.io import tables
from voxscale.io.files import write_json
from voxscale.scores.gather import gather_scores

VOXELS, REGIONS, DRAWS = 95_000, 20, (1, 1, 5)
SUBJECTS = ("UTS01", "UTS02", "UTS03")
LAYERS = 48


def cells(rows: int) -> Iterator[tuple[str, int, str, int]]:
    """(model, layer, subject, draws) until there are as many rows."""
    number = 0
    while rows > 0:
        draws = DRAWS[number // len(SUBJECTS) % len(DRAWS)]
        layer, model = divmod(number // len(SUBJECTS), LAYERS)[::-1]
        yield f"model-{model:02}", layer, SUBJECTS[number % len(SUBJECTS)], draws
        rows -= VOXELS * draws
        number += 1


def make(folder: Path, rows: int) -> tuple[list[Path], int]:
    """Write cells, cards, ceilings and voxel tables; the files of the cells and their rows."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0.1, 0.1, VOXELS * max(DRAWS)).astype(np.float32)
    alphas = np.logspace(1, 4, 15, dtype=np.float32)
    paths, written, models = [], 0, set()
    for model, layer, subject, draws in cells(rows):
        n = VOXELS * draws
        # Every cell has its own numbers: another piece of one series, as incompressible as scores are.
        r, uncut, cv = (np.roll(noise, int(rng.integers(len(noise))))[:n] for _ in range(3))
        same = {"model": model, "layer": layer, "subject": subject, "n_train": 27 - (draws > 1)}
        same |= {"train_trs": 9000, "train_hours": 5.0, "n_features": 16384}
        columns = {name: pa.repeat(value, n) for name, value in same.items()}
        columns |= {"draw": np.repeat(range(draws), VOXELS), "voxel": np.tile(np.arange(VOXELS), draws)}
        columns |= {
            "r": r,
            "r_uncut": uncut,
            "r_ceiling": r,
            "cv_r": cv,
            "alpha": alphas[rng.integers(15, size=n)],
        }
        columns |= {
            "alpha_edge": rng.random(n) < 0.02,
            "p": (1 + rng.integers(1000, size=n)) / np.float32(1001),
        }
        paths.append(folder / f"scores/model={model}/layer={layer}/subject={subject}/{draws}.parquet")
        tables.write("scores", columns, paths[-1])
        written += n
        models.add(model)
    for model in models:
        card = {
            "model": model,
            "modality": "language",
            "n_layers": LAYERS,
            "width": 4096,
        }
        write_json(folder / f"models/{model}.json", card | {"parameters": 10**9})
    for subject in SUBJECTS:
        _subject(folder, subject, rng)
    return paths, written


def _subject(folder: Path, subject: str, rng: np.random.Generator) -> None:
    schema = tables.SCHEMAS["ceiling"]
    columns = {name: rng.random(VOXELS) for name in schema.names}
    columns |= {"subject": [subject] * VOXELS, "voxel": np.arange(VOXELS), "n_repeats": np.full(VOXELS, 10)}
    tables.write(
        "ceiling", columns | {"reliable": rng.random(VOXELS) < 0.5}, folder / f"ceiling/{subject}.parquet"
    )
    region = rng.integers(REGIONS, size=VOXELS)
    lines = [f"{v}\tleft\t{v % 10242}\tregion{region[v]}\n" for v in range(VOXELS)]
    (folder / f"{subject}.tsv").write_text("voxel\themisphere\tvertex\troi\n" + "".join(lines))


def gather(folder: Path) -> None:
    """Gather everything in the folder; print the seconds and the peak memory in kB."""
    start = time.perf_counter()
    gather_scores(
        sorted(folder.glob("scores/**/*.parquet")),
        sorted(folder.glob("models/*.json")),
        sorted(folder.glob("ceiling/*.parquet")),
        {subject: folder / f"{subject}.tsv" for subject in SUBJECTS},
        *(folder / f"tables/{name}.parquet" for name in ("scores", "summary", "voxels")),
        references=[],
        families={},
        settings={"fdr": 0.05},
    )
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(time.perf_counter() - start, peak.split()[1])


def size_gb(*paths: Path) -> float:
    """Size of files on disk."""
    return sum(path.stat().st_size for path in paths) / 1e9


def main() -> None:
    """Make the cells, gather them in a separate process, write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000_000)
    parser.add_argument("--folder", type=Path, default=ROOT / "results/scratch/bench_gather")
    parser.add_argument("--gather", action="store_true", help="only gather what is in the folder")
    parser.add_argument("--note", default="", help="on the state of the machine, for the page")
    given = parser.parse_args()
    if given.gather:
        return gather(given.folder)
    try:
        start = time.perf_counter()
        paths, rows = make(given.folder, given.rows)
        print(f"{rows:,} rows in {len(paths):,} cells, {time.perf_counter() - start:.0f} s", flush=True)
        command = [sys.executable, __file__, "--gather", "--folder", str(given.folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds, peak = map(float, done.stdout.split())
        text = f"""## Gathering a large study

{datetime.date.today()}, {sections.machine()} {given.note}

`python benchmarks/bench_gather.py` makes cells of {VOXELS:,} voxels, one draw or five, with made-up scores,
and gathers them in a separate process; its peak memory is the kernel's (`VmHWM`).

| | |
| --- | --- |
| rows | {rows:,} |
| cells | {len(paths):,}, {size_gb(*paths):.1f} GB |
| gathered scores | {size_gb(given.folder / "tables/scores.parquet"):.1f} GB |
| time | {seconds:.0f} s |
| peak memory | {peak / 1e6:.2f} GB |
"""
        print(text)
        sections.write("gather", text)
    finally:
        shutil.rmtree(given.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
