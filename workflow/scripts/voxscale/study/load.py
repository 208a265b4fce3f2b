"""From the config as it was read to a checked study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxscale.dataset import open_dataset
from voxscale.models import MODELS, ModelEntry, load_registry
from voxscale.study.checks import check
from voxscale.study.config import complete, merge, put_under, read_library
from voxscale.study.controls import add_controls
from voxscale.study.fixed_width import add_arm
from voxscale.study.machine import expects_gpu
from voxscale.study.own_features import with_own_files
from voxscale.study.partial import without_models, without_subjects
from voxscale.study.site import take_site
from voxscale.study.study import Study
from voxscale.study.timing import with_timing


def load_study(config: Mapping[str, Any], base: str | Path = "", gpu: bool | None = None) -> Study:
    """Check a config and put the study together.

    Args:
        config: as Snakemake read it.
        base: the folder that relative paths of the config lie in.
        gpu: whether jobs find a GPU where the config does not name a device; None: as it seems here.

    Raises:
        UserError: anything in the config that cannot work, in one line.
    """
    full, cluster, image = take_site(put_under(base, complete(config)), base)
    if "partial" in full:
        full = without_subjects(full)
    registry: Mapping[str, ModelEntry] = load_registry(merge(read_library(MODELS), full["models"]))
    dataset = open_dataset(full["dataset"], Path(base, "results/dataset"))
    dataset.check()
    full = with_timing(full, dataset)
    used = dict.fromkeys(model for sweep in full["sweeps"].values() for model in sweep["models"])
    registry = with_own_files(registry, used, dataset.stories)
    full, registry, left_out = add_controls(full, registry, dataset)
    full, registry = add_arm(full, registry)
    full, missing = without_models(full) if "partial" in full else (full, [])
    gpu = expects_gpu() if gpu is None else gpu
    study = Study(full, registry, dataset, left_out, gpu, cluster, image, missing)
    check(study)
    return study
