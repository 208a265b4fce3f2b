"""Read a file of the workflow from its first byte to its last, to see whether it is whole and whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
from PIL import Image

from voxscale.io.files import read_json_whole, read_page, sha256_file
from voxscale.io.hdf5 import open_hdf5
from voxscale.io.origin import reading, require_origin
from voxscale.io.tables import open_table


def _hdf5(path: Path, content: bool) -> Any:
    def read(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            for part in item.iter_chunks() if item.chunks else [...]:
                item[part]

    with open_hdf5(path) as file:
        if content:
            file.visititems(read)
        return file.attrs.get("origin")


def _table(path: Path, content: bool) -> Any:
    with open_table(path) as file:
        for _ in file.iter_batches() if content else ():
            pass
        return (file.metadata.metadata or {}).get(b"origin")


def _png(path: Path, content: bool) -> Any:
    with Image.open(path) as image:
        origin = image.info.get("origin")
        if content:
            image.verify()
    require_origin(path, origin)
    return origin


def _csv(path: Path, content: bool) -> None:
    """The numbers of a figure, whose digest is in the PNG next to it."""
    png = path.with_suffix(".png")
    if content and png.exists():
        with Image.open(png) as image:
            digest = image.info.get("csv")
        if digest not in (None, sha256_file(path)):
            raise ValueError(f"it has changed since {png.name} was drawn")


def _pdf(path: Path, content: bool) -> None:
    """A PDF has no digest; one that was cut off lacks its end."""
    data = path.read_bytes() if content else b""
    if content and not (data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")):
        raise ValueError("it is cut off, or not a PDF")


_READERS = {
    ".h5": _hdf5,
    ".parquet": _table,
    ".json": lambda path, content: read_json_whole(path)[1],
    ".png": _png,
    ".csv": _csv,
    ".pdf": _pdf,
    ".html": lambda path, content: read_page(path),
}


def read_whole(path: str | Path, content: bool = True) -> dict[str, Any]:
    """Read all of a file and give what it says of its origin: `place`, `settings`; {} if it says nothing.

    Args:
        content: False: read no more than is needed for the origin.

    Raises:
        UserError: it is missing, damaged, or was made for another place.
    """
    path = Path(path)
    if path.suffix not in _READERS:
        return {}
    with reading(path):
        return json.loads(_READERS[path.suffix](path, content) or "{}")
