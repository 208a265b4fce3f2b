"""Files of fitted cells, and the index in which a job that fits a batch of cells names them.

    results/fits/<batch>.json      model, subject, and layer, n_train and key of each cell
    results/scores/<cell>.parquet  table `scores`
    results/moments/<cell>.h5      see `MomentsFile`

Both files of a cell keep its key, a digest of everything that its numbers depend on.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.io import place_of, read_json, read_whole, write_json

CELL = "model={model}/subject={subject}/layer={layer}_n_train={n_train}"
CELL_FILES = {"scores": f"results/scores/{CELL}.parquet", "moments": f"results/moments/{CELL}.h5"}
FITTING = "fitting "  # in the log of a batch, before each cell
_COLUMNS = ("model", "layer", "subject", "n_train")
LATENCY_S = 30.0  # in which a shared file system shows a file to all nodes, as in profiles/slurm
_HELD_SHARE = 0.25  # of a fit's memory that responses, and features, may take to be read only once


def cell_paths(index: str | Path, cell: Mapping[str, Any]) -> dict[str, Path]:
    """Scores and moments of a cell, in the folder `results` that an index is in."""
    base = str(index).removesuffix(place_of(index) or "")
    return {kind: Path(base + path.format(**cell)) for kind, path in CELL_FILES.items()}


def write_index(path: str | Path, keys: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Write which cells of one model and subject are fitted, with their keys."""
    first = keys[0][0]
    cells = [[cell["layer"], cell["n_train"], key] for cell, key in keys]
    write_json(path, {"model": first["model"], "subject": first["subject"], "cells": cells})


def read_index(path: str | Path) -> dict[tuple[str, int, str, int], str]:
    """Cell (model, layer, subject, n_train) -> its key."""
    index = read_json(path)
    return {(index["model"], layer, index["subject"], n): key for layer, n, key in index["cells"]}


def remove_untrue(index: str | Path, keys: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Remove the other indexes of a model and a subject that name one of these cells with another key.

    Cut into other batches, a study with changed settings leaves the indexes that it had. Its cells are fitted
    over those that these name; so if the settings are changed back, only what was fitted meanwhile is again.
    """
    new = {tuple(cell[column] for column in _COLUMNS): key for cell, key in keys}
    for other in Path(index).parent.glob("[!.]*.json"):
        if other == Path(index):
            continue
        with contextlib.suppress(UserError):  # a damaged one is found where it is read
            if any(new.get(cell, key) != key for cell, key in read_index(other).items()):
                other.unlink(missing_ok=True)


def require_cell(path: Path, key: str, index: str | Path, content: bool) -> None:
    """Make sure that a cell's file is the one that an index names.

    Args:
        content: read it whole; False: only what it says of its origin.

    Raises:
        UserError: it is missing, damaged or another one.
    """
    if read_whole(path, content).get("key") != key:
        remedy = f"delete {index} and run again: finished fits stay"
        raise UserError(f"{path}: is not the file that {index} names; {remedy}")


def cell_files(kind: str, indexes: Iterable[str | Path], cells: Iterable[Sequence[Any]]) -> list[Path]:
    """Scores or moments of cells (model, layer, subject, n_train), in their order.

    Raises:
        UserError: no index names a cell; or its file is missing or another one.
    """
    known = {cell: (key, path) for path in indexes for cell, key in read_index(path).items()}
    found = []
    for cell in map(tuple, cells):
        if cell not in known:
            named = " ".join(map(str, cell))
            raise UserError(f"{named}: this cell is in none of the indexes given; run the workflow again")
        key, index = known[cell]
        found.append(cell_paths(index, dict(zip(_COLUMNS, cell, strict=True)))[kind])
        _wait_for(found[-1])
        require_cell(found[-1], key, index, content=False)
    return found


def _wait_for(path: Path) -> None:
    """Wait until a file that another node wrote before its index is seen here, too."""
    end = time.monotonic() + LATENCY_S
    while not os.path.lexists(path) and time.monotonic() < end:
        time.sleep(1)


def held_responses(voxels: int, trs: int, n_fits: int, memory_gb: float, on_card: bool) -> float:
    """Bytes of a subject's responses that several fits keep in memory; 0 if that does not pay.

    A CPU takes so much longer to fit many responses than to read them that they are read again.
    """
    held, most = 4.0 * voxels * trs, 0.5e9 * memory_gb if on_card else min(1e9, _HELD_SHARE * 1e9 * memory_gb)
    return held if n_fits > 1 and held <= most else 0.0


def held_features(width: int, trs: int, n_layers: int, memory_gb: float) -> float:
    """Bytes of a layer of features and of the next one, which is read meanwhile; 0 if there is no room."""
    held = 2 * 4.0 * width * trs
    return held if n_layers > 1 and held <= _HELD_SHARE * 1e9 * memory_gb else 0.0
