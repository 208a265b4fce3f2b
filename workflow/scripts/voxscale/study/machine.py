"""What the machines of a run have, as far as it can be known before its first job."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxscale.errors import UserError

GPUS = ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # of NVIDIA, of AMD, in Windows' subsystem for Linux


def require_devices(config: Mapping[str, Any]) -> None:
    """Make sure that this machine has the devices that a config names.

    Raises:
        UserError: it has not.
    """
    for block in ("features", "encoding"):
        device = config[block]["device"]
        kind = device.partition(":")[0]
        there = {"cuda": _has_gpu(), "mps": sys.platform == "darwin"}
        if not there.get(kind, True):
            raise UserError(f"config key {block}.device: {device}, which this machine lacks; use auto")


def _has_gpu() -> bool:
    return any(Path(path).exists() for path in GPUS)


def _submits() -> bool:
    """Whether jobs can be submitted to SLURM from here; a job of SLURM counts as the machine that sent it."""
    there = shutil.which("sbatch") is not None or "SLURM_JOB_ID" in os.environ
    return there and os.environ.get("SLURM_CONF") != os.devnull


def expects_gpu() -> bool:
    """Whether jobs find a GPU where a config does not name a device.

    ASSUME: a machine that can submit jobs to SLURM gets GPUs from there.
    """
    return _submits() or _has_gpu()


def own_gpu() -> bool:
    """Whether jobs run on this machine, and find a GPU here."""
    return _has_gpu() and not _submits()
