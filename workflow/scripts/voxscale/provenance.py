"""Where a file came from: kept inside the file itself."""

from __future__ import annotations

import ast
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
# Modules that bring results in and out, and change none.
CARRIERS = frozenset({"errors", "io", "progress", "provenance", "schemas", "tables"})
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
def _imports(file: Path) -> tuple[str, frozenset[Path]]:
    """A source without its comments, and the files of the library that it imports, anywhere in it."""
    tree = ast.parse(file.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "voxscale":
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    places = [SCRIPTS.joinpath(*name.split(".")) for name in names]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    found = frozenset(f for f in files if f.exists() and f.parent != SCRIPTS and f.stem not in CARRIERS)
    return ast.unparse(tree), found - {SCRIPTS / "voxscale/__init__.py"}


@functools.cache
def code_hash(name: str) -> str:
    """Twelve hex digits that change when code changes: that of a script, and all of the library it uses.

    Comments and layout do not count, nor do the modules that only carry results (`CARRIERS`).

    Args:
        name: path under `workflow/scripts` without its ending: `fit_encoding`, `voxscale/encoding`.
    """
    seen: set[Path] = set()
    left = [SCRIPTS / f"{name}.py"]
    while left:
        file = left.pop()
        if file not in seen:
            seen.add(file)
            left += _imports(file)[1]
    texts = [f"{file.relative_to(SCRIPTS)}\n{_imports(file)[0]}" for file in sorted(seen)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


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
        # Installed by pip into a folder of another repository, the library is no file of that repository.
        commit = git("rev-parse", "HEAD", "HEAD:./voxscale/versions.py").split()[0]
        return commit + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return voxscale.__version__


def hash_config(config: Any) -> str:
    """Twelve hex digits of a nested config, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:12]


def collect(**extra: Any) -> dict[str, Any]:
    """Provenance of a file about to be written: versions, the code's state, and what the caller knows."""
    return {"versions": versions(), "code": code_state(), **extra}
