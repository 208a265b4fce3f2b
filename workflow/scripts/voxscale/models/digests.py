"""Digests of a model's files: what its features were made of, and whether it is still the same."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from voxscale.errors import UserError, first_line
from voxscale.io import sha256_file

WANTED = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
WEIGHTS = ["*.safetensors", "*.bin"]


def digest_files(folder: str | Path) -> dict[str, str]:
    """Digest of each file of a model's folder, by name."""
    files = sorted(p for p in Path(folder).iterdir() if p.is_file() and not p.name.startswith("."))
    with ThreadPoolExecutor() as pool:  # hashing releases the lock
        return {file.name: digest for file, digest in zip(files, pool.map(sha256_file, files), strict=True)}


def digest_folder(files: Mapping[str, str]) -> str:
    """One digest of `digest_files`."""
    return hashlib.sha256("".join(f"{name}:{files[name]};" for name in files).encode()).hexdigest()


def stored_dtypes(folder: str | Path) -> dict[str, str]:
    """Dtype of each weight in a folder's safetensors files, as these name it (F32, BF16, I8).

    Raises:
        UserError: a file is cut off or damaged.
    """
    found = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(file, "numpy") as weights:
                found |= {name: weights.get_slice(name).get_dtype() for name in list(weights.keys())}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: is cut off or damaged; get it again ({first_line(error)})") from None
    return found


def require_unchanged(card: Mapping[str, Any]) -> None:
    """Check that a model's files are those that its card was written for.

    All are read: the second reading, which loads them, then finds them in memory. Times and sizes would not
    show bytes that have changed on the disk.

    Raises:
        UserError: one has changed, is gone, or has been added.
    """
    if not (noted := card.get("files")):  # no network, or a card of an older version
        return
    folder = Path(card["path"])
    try:
        now = digest_files(folder)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be read ({error.strerror})") from None
    loaded = [name for name in {**noted, **now} if any(fnmatch(name, kind) for kind in WANTED + WEIGHTS)]
    for name in loaded:
        # A folder of the hub's cache is of one revision, and other programs may complete it.
        if noted.get(name) != now.get(name) and not (card.get("hub") and name not in noted):
            raise UserError(
                f"{folder / name}: has changed since {card['model']} was prepared; put it back as it was, or "
                f"delete the model's card, results/models/{card['model']}.json, and run again"
            )
