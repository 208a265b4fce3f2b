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


def expects_gpu() -> bool:
    """Whether jobs find a GPU where a config does not name a device.

    ASSUME: a machine that can submit jobs to SLURM gets GPUs from there.
    """
    submits = shutil.which("sbatch") is not None and os.environ.get("SLURM_CONF") != os.devnull
    return submits or _has_gpu()
