"""Reading stored features as a fit does, compared with reading as many raw bytes."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections

from voxscale.features import store as feature_store

STORIES, TRS, WIDTH, LAYERS, LAYER = 16, 330, 4096, 6, 4  # one layer of LLaMA-7B, hours of stories


def forget(paths: Sequence[Path]) -> None:
    """Remove files from the cache of the kernel."""
    os.sync()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark and write its section of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    given = parser.parse_args(argv)
    rows = [
        "| stored as | from | raw, MB/s | ours, MB/s | ours against raw |",
        "| --- | --- | --- | --- | --- |",
    ]
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float16"):
        with tempfile.TemporaryDirectory(dir=given.folder or ROOT) as temporary:
            folder = Path(temporary)
            stories = {f"s{i:02}": folder / f"s{i:02}.h5" for i in range(STORIES)}
            for path in stories.values():
                values = {k: rng.normal(size=(TRS, WIDTH)).astype(np.float32) for k in range(LAYERS)}
                feature_store.write_features(path, values, {}, dtype)
            index = folder / "model.h5"
            feature_store.write_feature_index(index, stories)
            plain = [folder / f"{story}.raw" for story in stories]
            for path in plain:
                rng.normal(size=(TRS, WIDTH)).astype(dtype).tofile(path)
            size = STORIES * TRS * WIDTH * np.dtype(dtype).itemsize / 1e6
            ways: dict[str, Callable[[], object]] = {
                "raw": lambda plain=plain: [path.read_bytes() for path in plain],
                "ours": lambda index=index, stories=stories: [
                    feature_store.read_features(index, story, LAYER) for story in stories
                ],
            }
            for place in ("disk", "memory"):
                rates: dict[str, list[float]] = {way: [] for way in ways}
                for _ in range(given.repeats):
                    for way, read in ways.items():
                        if place == "disk":
                            forget([*plain, *stories.values(), index])
                        begun = time.perf_counter()
                        read()
                        rates[way].append(size / (time.perf_counter() - begun))
                raw, ours = (statistics.median(rates[way]) for way in ("raw", "ours"))
                rows.append(f"| {dtype} | {place} | {raw:.0f} | {ours:.0f} | {ours / raw:.2f}x |")
                print(rows[-1], flush=True)
    sections.write(
        "bench-features: store",
        f"""### Reading stored features

{sections.machine()}

One layer of {STORIES} stories of {TRS} TRs, {WIDTH} features wide, from files of {LAYERS} layers, compared
with raw reads of as many bytes. Ours checks each chunk's checksum and gives float32. Medians of
{given.repeats} rounds; before each read from disk the files are removed from the kernel's cache.

{chr(10).join(rows)}
""",
    )


if __name__ == "__main__":
    main()
