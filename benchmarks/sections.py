"""Keeps docs/benchmarks.md: each benchmark owns one section and rewrites only that."""

from __future__ import annotations

import datetime
import gc
import platform
import time
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def seconds(run: Callable[[], object]) -> float:
    """Seconds of one run: CPU time if torch uses one thread, so that other jobs do not count."""
    import torch

    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    gc.collect()
    start = clock()
    run()
    return clock() - start


def machine() -> str:
    """Date, machine and versions of the measurement, in one line."""
    import torch

    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    threads = torch.get_num_threads()
    threads = f"{threads} threads, wall time" if threads > 1 else "one thread, its own time"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{datetime.date.today()}, {model}, {threads}, {versions}."


def write(name: str, text: str) -> None:
    """Replace (or append) the section `name`, which stands between two comments."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n"
    section = f"{start}\n{text.strip()}\n{end}"
    if start in page and end in page:
        page = page[: page.index(start)] + section + page[page.index(end) + len(end) :]
    else:
        page = page.rstrip() + "\n\n" + section + "\n"
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page)
