"""What a cluster is given with each kind of job, and the container of jobs: from the config and a site file.

Every study of a lab needs the same names. So these may be in one file, over which a config wins key by key:
`$VOXSCALE_SITE`, else `voxscale/site.yaml` in the user's folder of configs (`~/.config`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxscale.study.config import merge, read_yaml, require_schema

VARIABLE = "VOXSCALE_SITE"
KEYS = ("cluster", "container")
# Snakemake's resource for each key; `gres` of GPUs has their number behind it.
_RESOURCES = {
    "partition": "slurm_partition",
    "account": "slurm_account",
    "qos": "qos",
    "constraint": "constraint",
    "gres": "gres",
    "extra": "slurm_extra",
}


def site_file() -> Path | None:
    """The lab's site file; None without one. Jobs on other machines inherit the variable that names it."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = folder / "voxscale/site.yaml"
    if not path.exists():
        return None
    os.environ[VARIABLE] = str(path)
    return path


def read_site(path: Path | None) -> dict[str, Any]:
    """The content of a site file; empty without one.

    Raises:
        UserError: it is missing, or has another key than a site file may have.
    """
    content = (read_yaml(path) or {}) if path else {}
    require_schema(content, f"{path}: ", KEYS)
    return dict(content)


@dataclass(frozen=True)
class Cluster:
    """What a cluster is given with each kind of job: on CPUs, on GPUs, or a download.

    Args:
        config: blocks `all`, `cpu`, `gpu`, `download`, of the site file and of the study's config together.
        own: the part of it that the study's config has.
        file: the site file.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    @property
    def gpu(self) -> dict[str, Any] | None:
        """What jobs on GPUs are given, where the config or the site file has a block for them; else None."""
        return None if self.config.get("gpu") is None else self.given("gpu")

    @property
    def submits_downloads(self) -> bool:
        """Whether downloads are jobs of the cluster; else they run where Snakemake does."""
        return self.config.get("download") is not None

    def given(self, kind: str) -> dict[str, Any]:
        """The keys of a kind of job, with those of all kinds."""
        both = {**(self.config.get("all") or {}), **(self.config.get(kind) or {})}
        return {key: value for key, value in both.items() if value is not None}

    def resources(self, kind: str) -> dict[str, str]:
        """Snakemake's resources of a kind of job; `gres` of GPUs is without their number."""
        given = self.given(kind)
        return {name: str(given[key]) for key, name in _RESOURCES.items() if key in given}

    def place(self, kind: str, key: str) -> str:
        """Where a key of a kind of job is, or can be, written."""
        block = kind
        for name in (kind, "all"):
            if _value(self.config, name, key) is not None:
                block = name
                break
        at_site = _value(self.config, block, key) is not None and _value(self.own, block, key) is None
        return f"{self.file}: cluster.{block}.{key}" if at_site else f"config key cluster.{block}.{key}"


def _value(config: Mapping[str, Any], block: str, key: str) -> Any:
    return (config.get(block) or {}).get(key)


def without_site(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what changes no result: where its jobs run."""
    return {key: value for key, value in config.items() if key not in KEYS}


def take_site(config: Mapping[str, Any], base: str | Path = "") -> tuple[dict[str, Any], Cluster, str | None]:
    """Take cluster and container, on which no number depends, out of a complete config; add the site file's.

    Returns:
        the rest of the config, the cluster, and the image in which jobs run with `--sdm apptainer`.

    Raises:
        UserError: the site file cannot be used.
    """
    path = site_file()
    site = read_site(path)
    image, folder = config["container"], base
    if path and image is None:
        image, folder = site.get("container"), path.parent
    if image and "://" not in image:  # not one of a registry
        image = str(Path(folder, Path(image).expanduser()).resolve())
    blocks = merge(site.get("cluster", {}), config["cluster"])
    return without_site(config), Cluster(blocks, config["cluster"], path), image
