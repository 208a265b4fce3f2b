"""What the GPU benchmarks share: lines kept as they are found, and seconds and memory of the card."""

from __future__ import annotations

import json
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Record:
    """Lines of a run, printed and kept as JSON."""

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.lines = path, []
        self.end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left to the run."""
        return self.end - time.monotonic()

    def add(self, part: str, what: str, **numbers: Any) -> None:
        """One line: what was run, and what was found."""
        self.lines.append({"part": part, "what": what, **numbers})
        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items())
        print(f"{part:6} {what}: {shown}", flush=True)
        if self.path:
            self.path.write_text(json.dumps(self.lines, indent=1))


def wait(device: torch.device) -> None:
    """Until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(device: torch.device, run: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Median seconds of some runs, and what the last one gave."""
    seconds, found = [], None
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        found = run()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), found


def peak_gb(device: torch.device) -> float:
    """Largest memory of the card since the last call."""
    if device.type != "cuda":
        return 0.0
    found = torch.cuda.max_memory_allocated(device) / 1e9
    torch.cuda.reset_peak_memory_stats(device)
    return found


def attempt(record: Record, part: str, what: str, run: Callable[[], None]) -> None:
    """Run it if there is time; say why it failed."""
    if record.left < 20:
        record.add(part, what, left_out="no time")
        return
    try:
        run()
    except Exception as error:  # what comes after is measured all the same
        traceback.print_exc()
        record.add(part, what, failed=f"{type(error).__name__}: {error}"[:300])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
