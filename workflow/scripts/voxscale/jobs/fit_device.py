"""Where a study's fits run, on CPUs or on GPUs, decided for all of them before the first job.

`encoding.device: auto` takes a GPU of this machine, or what a cluster offers (the config's or the site's
`cluster.gpu`), if it is the cheaper way. A job does not decide again: it takes a GPU if it was given one.
"""

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from voxscale.jobs import resources
from voxscale.jobs.sizes import Sizes
from voxscale.ridge import default_memory_gb
from voxscale.study import Study, own_gpu

# A GPU costs as much as so many cores. ASSUME: this is the share of a node that comes with one of its GPUs.
GPU_CORES = 16


class FitDevice(NamedTuple):
    """Whether a study's fits run on GPUs, and why."""

    on_gpu: bool
    why: str


def hours_both_ways(study: Study) -> tuple[float, float]:
    """Core-hours of all fits of a study on CPUs, and their GPU-hours on GPUs."""
    sizes, grid = Sizes(study, before=True), study.grid
    encoding, permutations = study.config["encoding"], study.config["scoring"]["permutations"]
    shapes = Counter(
        (sizes.width(cell.model), cell.subject, cell.n_train, sizes.n_fits(cell)) for cell in grid.cells()
    )
    cores = cards = 0.0
    for (width, subject, n_train, draws), count in shapes.items():
        trs = sizes.longest(subject, n_train), sizes.fold_test_trs(subject)
        both = resources.fit_hours(*trs, width, sizes.voxels(subject), encoding, draws, permutations)
        cores, cards = cores + count * both[0], cards + count * both[1]
    return cores, cards


@functools.cache
def fit_device(study: Study) -> FitDevice:
    """Where a study's fits run."""
    device = study.config["encoding"]["device"]
    if device != "auto":
        return FitDevice(device.startswith("cuda"), f"encoding.device: {device}")
    if not study.gpu:
        return FitDevice(False, "encoding.device: auto; there is no GPU")
    if study.cluster.gpu is None:
        if own_gpu():
            return FitDevice(True, "encoding.device: auto; this machine has one")
        return FitDevice(False, "encoding.device: auto; cluster.gpu, which would offer GPUs, is not set")
    cores, cards = hours_both_ways(study)
    on_gpu = cores >= GPU_CORES * cards
    why = f"the cheaper way, where a GPU of cluster.gpu costs as much as {GPU_CORES} cores"
    return FitDevice(on_gpu, f"encoding.device: auto; {why}")


@functools.cache
def decided_encoding(study: Study) -> Mapping[str, Any]:
    """The config's `encoding`, with the device and the memory of the study's fits."""
    encoding, on_gpu = study.config["encoding"], fit_device(study).on_gpu
    memory_gb = encoding["memory_gb"] or default_memory_gb(on_gpu)
    return {**encoding, "device": "cuda" if on_gpu else "cpu", "memory_gb": memory_gb}
