"""Where a file came from: kept inside the file itself."""

import contextlib
import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import voxscale
from voxscale.errors import UserError

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


def sha256_file(path: str | Path) -> str:
    """Hex digest of a file's bytes.

    Raises:
        UserError: the file does not exist.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None


_job: dict[str, Any] = {}  # what the files that this process writes keep of their job


def note_job(
    settings: str | None, sources: Sequence[str] = (), missing: Sequence[str] = ()
) -> dict[str, str]:
    """Let every file that this process writes from now on keep how it is made.

    Args:
        settings: digest of its job's parameters.
        sources: the user's own files that the job reads.
        missing: what a partial study lacks, a sentence each.

    Returns:
        the digest of each of them. What is wrong with one that is missing is said where it is read.
    """
    digests = {path: sha256_file(path) for path in sources if Path(path).exists()}
    _job.clear()
    _job["settings"] = settings
    if sources:
        _job["sources"] = list(map(digests.get, sources))
    if missing:
        _job["missing"] = list(missing)
    return digests


@contextlib.contextmanager
def writing(**about: Any) -> Iterator[None]:
    """Let files that are written meanwhile keep this, not what `note_job` was given."""
    before = dict(_job)
    _job.clear()
    _job.update(about)
    try:
        yield
    finally:
        _job.clear()
        _job.update(before)


def job() -> dict[str, Any]:
    """What `note_job`, or `writing`, was given."""
    return _job


def collect(**extra: Any) -> dict[str, Any]:
    """Provenance of a file about to be written: versions, the code's state, and what the caller knows."""
    return {"versions": versions(), "code": code_state(), **extra}
