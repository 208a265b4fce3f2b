"""Where a file came from: kept inside the file itself."""

import functools
import hashlib
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import voxscale

SCRIPTS = Path(voxscale.__file__).parents[1]
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
def code_state() -> str:
    """Git commit of the library's checkout, with `+changes` if its files differ from it; else its version."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]
        # Variables of a git hook would name another repository.
        about = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return subprocess.run(
            command, cwd=SCRIPTS, env=about, capture_output=True, text=True, check=True, timeout=20
        ).stdout

    try:
        # Installed by pip into a folder of another repository, the library is not part of that repository.
        commit = git("rev-parse", "HEAD", "HEAD:./voxscale/versions.py").split()[0]
        return commit + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return voxscale.__version__


def hash_config(config: Any) -> str:
    """Twelve hex digits of a nested config, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:12]


_settings: list[str] = []  # digest of the parameters of the job that this process runs


def note_settings(digest: str | None) -> None:
    """Let every file that this process writes from now on keep the digest of its job's parameters."""
    _settings[:] = [digest] if digest else []


def settings() -> str | None:
    """The digest that `note_settings` was given."""
    return next(iter(_settings), None)


def collect(**extra: Any) -> dict[str, Any]:
    """Provenance of a file about to be written: versions, the code's state, and what the caller knows."""
    return {"versions": versions(), "code": code_state(), **extra}
