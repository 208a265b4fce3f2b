"""Names and sidecars of BIDS images."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.io import read_json

# Entities by which images of one run differ; `ses` and `run` tell the runs of a task apart.
ENTITIES = ("acq", "ce", "rec", "dir", "echo", "part", "space", "res", "den", "desc")


def entities_of(path: Path) -> dict[str, str]:
    """Entities of a file's name: `sub-01_task-walk_bold.nii` has sub and task."""
    stem = path.name.split(".")[0]
    return {key: value for key, dash, value in (part.partition("-") for part in stem.split("_")) if dash}


def natural(name: str) -> tuple[list[int | str], str]:
    """A key that sorts `run-10` behind `run-2`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


@functools.lru_cache(maxsize=64)
def _sidecars_in(folder: Path, changed: int) -> list[tuple[Path, dict[str, str]]]:
    """Sidecars of images in a folder, which may have thousands of files, with their entities."""
    return [(path, entities_of(path)) for path in folder.glob("*bold.json")]


def _sidecars(image: Path, root: Path) -> Iterator[Path]:
    """Sidecars that hold for an image, the most special first, as BIDS' principle of inheritance has it."""
    own = entities_of(image).items()
    for folder in image.parents:
        if not folder.is_relative_to(root):
            return
        there = _sidecars_in(folder, folder.stat().st_mtime_ns)
        fitting = [(path, entities) for path, entities in there if entities.items() <= own]
        yield from (path for path, _ in sorted(fitting, key=lambda found: -len(found[1])))


def sidecar_value(image: Path, root: Path, key: str) -> tuple[Any, Path] | None:
    """Value of a key in an image's sidecars, and the sidecar that has it; None if none has it.

    Raises:
        UserError: a sidecar cannot be read.
    """
    for sidecar in _sidecars(image, root):
        content = read_json(sidecar)
        if isinstance(content, dict) and content.get(key) is not None:
            return content[key], sidecar
    return None


def sidecar_seconds(
    image: Path, root: Path, key: str, least: float, most: float
) -> tuple[float, Path] | None:
    """A time in an image's sidecars, see `sidecar_value`.

    Raises:
        UserError: a sidecar cannot be read, or the time is not a number of seconds between the limits.
    """
    if (found := sidecar_value(image, root, key)) is None:
        return None
    seconds, sidecar = found
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not least <= seconds <= most:
        raise UserError(f"{sidecar}: {key} is {seconds!r}; it must be seconds, from {least:g} to {most:g}")
    return float(seconds), sidecar
