"""Where a file came from: kept inside the file itself."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import voxscale

PACKAGES = ("snakemake", "torch", "transformers", "numpy", "scipy", "h5py", "pyarrow")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, of this library and of the packages whose numbers end up in the results."""
    found = {"python": platform.python_version(), "voxscale": voxscale.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


@functools.cache
def code_hash(*modules: str) -> str:
    """Twelve hex digits that change when one of the library's modules or packages changes.

    A name is a module (`encoding`) or a package (`ridge`: all its modules).
    """
    root = Path(voxscale.__file__).parent
    digest = hashlib.sha256()
    for module in modules or (".",):
        path = root / module
        files = sorted(path.rglob("*.py")) if path.is_dir() else [root / f"{module}.py"]
        files = [f for f in files if f.exists()]
        for file in files:
            digest.update(str(file.relative_to(root)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def hash_config(config: Any) -> str:
    """Twelve hex digits of a nested config, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:12]


def collect(**extra: Any) -> dict[str, Any]:
    """Provenance of a file about to be written: versions, the library's hash, and what the caller knows."""
    return {"versions": versions(), "code": code_hash(), **extra}
