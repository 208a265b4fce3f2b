"""Results of one subject as images in the data's own space, each with a sidecar that says what it shows."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxscale.dataset import Geometry, in_folds, open_dataset, read_regions
from voxscale.errors import UserError
from voxscale.io import SCHEMAS, atomic, tables, write_json
from voxscale.provenance import collect
from voxscale.scores.layers import first_draw
from voxscale.statistics import false_discovery

_CELL = ("model", "layer", "subject", "n_train")
_Files = Mapping[str, str | Path]


@dataclass(frozen=True)
class Shown:
    """What one image shows.

    Args:
        stat: short name of it, for the file's name.
        values: by voxel, which is a column of the response files.
        unit, meaning: in words.
        labels: names of the values, where these are labels.
    """

    stat: str
    values: pd.Series
    unit: str
    meaning: str
    labels: Mapping[int, str] | None = None


def _column(table: str, column: str, values: pd.Series) -> Shown:
    """A column of a table, with the table's own words."""
    about = SCHEMAS[table].field(column).metadata
    return Shown(column, values, about[b"unit"].decode(), about[b"description"].decode())


def _scores(scores: Sequence[Path], files: _Files, settings: Mapping[str, Any]) -> list[Shown]:
    """Of one cell: means over its draws; p and what follows from it only where there is one draw."""
    columns = ["draw", "voxel", "r", "r_ceiling", "p"]
    rows = tables.read("scores", scores[0], columns).to_pandas()
    n_draws = rows.draw.nunique()
    rows["r2"] = rows.r * rows.r.abs()
    found = rows.groupby("voxel").mean()
    ceiling = tables.read("ceiling", files["ceiling"], ["voxel", "ccmax", "reliable"]).to_pandas()
    ccmax = ceiling.set_index("voxel").ccmax.where((ceiling.reliable & (ceiling.ccmax > 0)).to_numpy())
    shown = [
        _column("scores", "r", found.r),
        Shown("r2", found.r2, "signed r²", "r·|r| of the test correlation"),
        _column("room", "ccnorm", found.r_ceiling / ccmax),
    ]
    if n_draws == 1:
        q = pd.Series(false_discovery(found.p.to_numpy()), found.index)
        meaning = f"1: p is below the false discovery rate {settings['fdr']:g} over the subject's voxels"
        shown += [
            _column("scores", "p", found.p),
            Shown("significant", (q <= settings["fdr"]).where(q.notna()).astype(float), "flag", meaning),
        ]
    return shown


def _layers(scores: Sequence[Path], files: _Files, settings: Mapping[str, Any]) -> list[Shown]:
    """The layer of a model that each voxel's held-out training stories choose."""
    layers = np.array([cell[1] for cell in settings["cells"]])
    parts = [first_draw(path) for path in scores]
    r, cv_r = (np.stack([part[name] for part in parts]) for name in ("r", "cv_r"))
    scored = np.isfinite(r).all(0) & np.isfinite(cv_r).all(0)
    chosen = np.where(np.isfinite(cv_r), cv_r, -2).argmax(0)
    voxel = parts[0]["voxel"]
    layer = pd.Series(layers[chosen].astype(float), voxel).where(scored)
    best = pd.Series(r[chosen, np.arange(len(voxel))].astype(float), voxel).where(scored)
    how = "of the layer with the best held-out correlation inside the training stories"
    if in_folds(settings["dataset"]["test_stories"]):
        how += ", which over all folds are the test stories (a choice on the test set)"
    return [
        Shown("layer", layer, "index", f"number {how}; 0 is the embedding output"),
        Shown("depth", layer / max(settings["n_layers"], 1), "share", f"layer / n_layers {how}"),
        Shown("r", best, "correlation", f"test correlation {how}"),
    ]


def _differences(scores: Sequence[Path], files: _Files, settings: Mapping[str, Any]) -> list[Shown]:
    rows = tables.read("comparison", files["comparison"]).to_pandas()
    mine = rows[rows.subject == settings["subject"]].set_index("voxel")
    return [_column("comparison", name, mine[name]) for name in ("difference", "lo", "hi", "p", "q")]


def _ceilings(scores: Sequence[Path], files: _Files, settings: Mapping[str, Any]) -> list[Shown]:
    rows = tables.read("ceiling", files["ceiling"]).to_pandas().set_index("voxel")
    return [
        _column("ceiling", name, rows[name].astype(float)) for name in ("ccmax", "explainable", "reliable")
    ]


def _regions(scores: Sequence[Path], files: _Files, settings: Mapping[str, Any]) -> list[Shown]:
    if not (known := read_regions(table := files["voxels"])):
        raise UserError(
            f"{table}: names no region; add a column roi (voxscale regions writes one from an atlas)"
        )
    names = sorted(set(known.values()))
    keys = pd.Series(known).map({name: key for key, name in enumerate(names, 1)})
    meaning = "region of the voxel table; 0: none"
    return [Shown("dseg", keys, "label", meaning, dict(enumerate(names, 1)))]


_KINDS: dict[str, Callable[..., list[Shown]]] = {
    "scores": _scores,
    "layers": _layers,
    "differences": _differences,
    "ceilings": _ceilings,
    "regions": _regions,
}


def write_images(
    settings: Mapping[str, Any],
    scores: Sequence[str | Path],
    files: _Files,
    folder: str | Path,
) -> list[Path]:
    """Write one subject's maps of one kind of result.

    The files are `sub-<subject>[_space-<space>]_<name>_stat-<stat>` with the ends of `Geometry.write`; each
    has a sidecar `.json`, and labels have a table of their names, `.tsv`. A map without any value is left
    out. If writing fails, none of them is there, and those of an earlier export stay.

    Args:
        settings: `kind` (scores, layers, differences, ceilings, regions), `subject`, `name`, `cells`, `fdr`,
            `n_layers`, `dataset` (the config's block) and `config` (digest of the whole).
        scores: table `scores` of each of the cells.
        files: what else the kind needs: table `ceiling` or `comparison`, or the voxel table (`voxels`).

    Returns:
        the images.

    Raises:
        UserError: the places of the voxels are not known, or the subject has no region.
    """
    subject, folder = settings["subject"], Path(folder)
    geometry = open_dataset(settings["dataset"]).require_geometry(subject)
    maps = _KINDS[settings["kind"]](scores, files, settings)
    space = [f"space-{geometry.space}"] if geometry.space else []
    whose = [f"sub-{subject.removeprefix('sub-')}", *space, settings["name"]]
    about = {
        "Subject": subject,
        "Space": geometry.space,
        "Cells": [dict(zip(_CELL, cell, strict=True)) for cell in settings["cells"]],
        "Sources": [str(path) for path in [*scores, *files.values()]],
        "Provenance": collect(config=settings["config"]),
    }
    images: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
        for shown in (one for one in maps if one.values.notna().any()):
            last = "dseg" if shown.labels else f"stat-{shown.stat}"
            images += _write_map(shown, geometry, Path(scratch, "_".join([*whose, last])), about)
        for path in Path(scratch).iterdir():
            path.replace(folder / path.name)
    return [folder / image.name for image in images]


def _write_map(shown: Shown, geometry: Geometry, stem: Path, about: Mapping[str, Any]) -> list[Path]:
    """One image with its sidecar, and the names of labels as BIDS has them."""
    images = geometry.write(_whole(shown, geometry), stem, [shown.stat], shown.labels)
    if shown.labels:
        with atomic(f"{stem}.tsv") as temporary:
            rows = "".join(f"{key}\t{name}\n" for key, name in shown.labels.items())
            temporary.write_text(f"index\tname\n{rows}")
    said = {"Description": shown.meaning, "Units": shown.unit, "Files": [path.name for path in images]}
    write_json(f"{stem}.json", said | about)
    return images


def _whole(shown: Shown, geometry: Geometry) -> np.ndarray:
    """(voxels,) values of all columns of the response files: NaN where none was fitted, of labels 0."""
    voxel = shown.values.index.to_numpy()
    if len(voxel) and voxel.max() >= geometry.n_voxels:
        raise UserError(
            f"results of voxel {voxel.max()}, but the responses have {geometry.n_voxels}; run the workflow "
            "again"
        )
    values = np.full(geometry.n_voxels, np.nan if shown.labels is None else 0)
    values[voxel] = shown.values.to_numpy()
    return values
