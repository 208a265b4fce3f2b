"""What the machines of a run have, as far as it can be known before its first job."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

GPUS = ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # of NVIDIA, of AMD, in Windows' subsystem for Linux


def expects_gpu() -> bool:
    """Whether jobs find a GPU where a config does not name a device.

    ASSUME: a machine that can submit jobs to SLURM gets GPUs from there.
    """
    submits = shutil.which("sbatch") is not None and os.environ.get("SLURM_CONF") != os.devnull
    return submits or any(Path(path).exists() for path in GPUS)
