"""The jobs of the study that config files describe."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.jobs.check import require_folders
from voxscale.jobs.jobs import Jobs
from voxscale.study import load_study, merge, read_yaml, with_file

DEMO = Path(__file__).parents[4] / "config/demo.yaml"  # in a checkout; a package has no demo


def executor_of(profile: str | Path) -> str:
    """What runs a profile's jobs: `local`, `slurm` or another cluster, where jobs get GPUs."""
    path = Path(profile)
    content = read_yaml(path / "config.yaml" if path.is_dir() else path)
    return content.get("executor", "local") if isinstance(content, dict) else "local"


def load_jobs(
    configfiles: str | Path | Sequence[str | Path] | None,
    directory: str | Path = ".",
    profile: str | Path | None = None,
) -> Jobs:
    """Jobs of the study that a config file describes; without one, of the demo.

    Args:
        configfiles: one, or several of which each later one wins, key by key, as Snakemake has it.
        directory: Snakemake's working directory, with `results/`; it becomes this process's own.
        profile: folder of the Snakemake profile of the run; None for a run of this machine.

    Raises:
        UserError: the config, the dataset or the directory is not what it should be.
    """
    if isinstance(configfiles, str | Path):
        configfiles = [configfiles]
    if not configfiles and not DEMO.exists():
        raise UserError("--configfile: name the study's config; the demo's is not here")
    config: dict[str, Any] = {}
    paths = [Path(path).absolute() for path in configfiles or [DEMO]]
    for path in configfiles or [DEMO]:
        part = read_yaml(path)
        if not isinstance(part, dict):
            what = "is empty" if part is None else f"is a {type(part).__name__}, not a mapping of keys"
            raise UserError(f"{path}: {what}; a study's config begins with keys such as dataset: and sweeps:")
        config = merge(config, part)
    gpu = None if profile is None else executor_of(profile) != "local"
    try:
        os.chdir(directory)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; make this folder first, or name another") from None
    try:
        jobs = Jobs(load_study(config, gpu=gpu))
    except UserError as error:
        raise UserError(with_file(str(error), paths)) from None
    require_folders(jobs)
    return jobs
