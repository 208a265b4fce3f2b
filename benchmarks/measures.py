"""Used by all feature benchmarks: the GEMM peak of the machine, and the memory that a run adds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import sections
import torch

from voxscale.models.packed import pack


@torch.inference_mode()
def gemm_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """GEMM FLOP/s of this machine, the best of five, with the faster of torch's two implementations."""
    a, b = torch.randn(2, size, size).to(dtype).unbind()
    layer = torch.nn.Linear(size, size, bias=False, dtype=dtype)
    ways: list[Callable[[], object]] = [lambda: a @ b]
    holder = torch.nn.Sequential(layer)
    if pack(holder, size):
        ways.append(lambda: holder(a))
    return max(2 * size**3 / sections.seconds(way) for way in ways for _ in range(5))


def high_water() -> float:
    """Largest resident memory of this process so far, GB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def added(run: Callable[[], object]) -> float:
    """GB that a run adds, at its peak, to the memory of this process."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    before = high_water()
    run()
    return high_water() - before


def added_alone(script: str, way: str, folder: Path) -> float:
    """The same in a separate process, in which `script` with `--peak` prints it last."""
    command = [sys.executable, script, "--folder", str(folder), "--peak", way]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
