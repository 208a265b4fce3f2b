"""Read a file of the workflow from its first byte to its last, to see whether it is whole and whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
from PIL import Image

from voxscale.io.files import read_json_whole
from voxscale.io.hdf5 import open_hdf5
from voxscale.io.origin import reading, require_origin
from voxscale.io.tables import open_table


def _hdf5(path: Path) -> Any:
    def read(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            for part in item.iter_chunks() if item.chunks else [...]:
                item[part]

    with open_hdf5(path) as file:
        file.visititems(read)
        return file.attrs.get("origin")


def _table(path: Path) -> Any:
    with open_table(path) as file:
        for _ in file.iter_batches():
            pass
        return (file.metadata.metadata or {}).get(b"origin")


def _png(path: Path) -> Any:
    with Image.open(path) as image:
        origin = image.info.get("origin")
        image.verify()
    require_origin(path, origin)
    return origin


_READERS = {
    ".h5": _hdf5,
    ".parquet": _table,
    ".json": lambda path: read_json_whole(path)[1],
    ".png": _png,
}


def read_whole(path: str | Path) -> dict[str, Any]:
    """Read all of a file and give what it says of its origin: `place`, `settings`; {} if it says nothing.

    Raises:
        UserError: it is missing, damaged, or was made for another place.
    """
    path = Path(path)
    if path.suffix not in _READERS:
        return {}
    with reading(path):
        return json.loads(_READERS[path.suffix](path) or "{}")
