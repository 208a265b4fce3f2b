"""Names and sidecars of BIDS images."""

import re
from collections.abc import Iterator
from pathlib import Path

from voxscale.errors import UserError
from voxscale.io import read_json

# Entities by which images of one run differ; `ses` and `run` tell the runs of a task apart.
ENTITIES = ("acq", "ce", "rec", "dir", "echo", "part", "space", "res", "desc")


def entities_of(path: Path) -> dict[str, str]:
    """Entities of a file's name: `sub-01_task-walk_bold.nii` has sub and task."""
    stem = path.name.split(".")[0]
    return {key: value for key, dash, value in (part.partition("-") for part in stem.split("_")) if dash}


def natural(name: str) -> tuple[list[int | str], str]:
    """A key that sorts `run-10` behind `run-2`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def _sidecars(image: Path, root: Path) -> Iterator[Path]:
    """Sidecars that hold for an image, the most special first, as BIDS' principle of inheritance has it."""
    own = entities_of(image).items()
    for folder in image.parents:
        if not folder.is_relative_to(root):
            return
        fitting = [path for path in folder.glob("*bold.json") if entities_of(path).items() <= own]
        yield from sorted(fitting, key=lambda path: -len(entities_of(path)))


def sidecar_tr_s(image: Path, root: Path) -> tuple[float, Path] | None:
    """RepetitionTime of an image's sidecar in seconds, and that sidecar; None if none has it.

    Raises:
        UserError: a sidecar cannot be read, or its RepetitionTime is not a number of seconds.
    """
    for sidecar in _sidecars(image, root):
        content = read_json(sidecar)
        if isinstance(content, dict) and "RepetitionTime" in content:
            tr_s = content["RepetitionTime"]
            if not isinstance(tr_s, (int, float)) or isinstance(tr_s, bool) or not 0.05 <= tr_s <= 30:
                raise UserError(f"{sidecar}: RepetitionTime is {tr_s!r}; it must be seconds, from 0.05 to 30")
            return float(tr_s), sidecar
    return None
