"""Regions from an atlas file that the user has: each voxel gets the label of its place.

    label image (NIfTI)              voxels are those of a mask; a voxel has the label at its centre
    GIFTI label, FreeSurfer annot    a file per hemisphere; voxels are its vertices, or those of a voxel table
    CIFTI dlabel                     voxels are its grayordinates

Sides are named alike, whatever the atlas calls them: `V1_left` and `V1_right` are homologous regions.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset.geometry import Volume
from voxscale.dataset.images import load_image, mask_voxels
from voxscale.dataset.voxels import write_voxels
from voxscale.errors import UserError, first_line
from voxscale.io import read_rows, require

SIDES = ("left", "right")
_SIDE = re.compile(
    r"[(\[](l|lh|left|r|rh|right)[)\]]|(?:^|(?<=[-_., ]))(l|lh|left|r|rh|right)(?:[-_., ]|$)", re.IGNORECASE
)
_NONE = re.compile(
    r"(?:^|[-_+. ])(?:unknown|background|undetermined|none|medial_?wall|corpuscallosum|\?+)$", re.IGNORECASE
)
_FSAVERAGE5 = 10242  # vertices of a hemisphere, on which maps are drawn


@dataclass(frozen=True)
class Labels:
    """Labels of places, in the order of the file.

    Args:
        key: (n,) int.
        names: key -> name as in the atlas.
        side: (n,) left, right or an empty string.
    """

    key: np.ndarray
    names: Mapping[int, str]
    side: np.ndarray

    def regions(self, source: str | Path) -> list[str | None]:
        """Region of each place, None outside of all.

        Raises:
            UserError: a label has no name.
        """
        found = {}
        for key in np.unique(self.key).tolist():
            if key not in self.names and key > 0:
                raise UserError(f"{source}: names no label {key}, which voxels have; add it")
            found[key] = _region(self.names.get(key, ""))
        return [
            None if found[key][0] is None else "_".join(filter(None, (found[key][0], found[key][1] or side)))
            for key, side in zip(self.key.tolist(), self.side.tolist(), strict=True)
        ]


def _region(name: str) -> tuple[str | None, str]:
    """A label's name without its side, and the side if the name says it."""
    said = _SIDE.search(name)
    side = "" if said is None else SIDES[said[said.lastindex or 0][0].lower() == "r"]
    bare = name if said is None else name[: said.start()] + name[said.end() :]
    bare = re.sub(r"\s+", "_", bare.strip(" -_.,\t"))
    return (bare if bare and not _NONE.search(bare) else None), side


def read_names(path: str | Path) -> dict[int, str]:
    """Names of labels: a table with columns `index` and `name` (BIDS), or a colour table of FreeSurfer.

    Raises:
        UserError: it is neither.
    """
    text = require(path, "table of names").read_text(errors="replace")
    if text.split("\n", 1)[0].split("\t")[:1] == ["index"]:
        rows = [(row["index"], row["name"]) for row in read_rows(path, ("index", "name"))]
    else:
        lines = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
        rows = [(line[0], line[1]) for line in lines if len(line) > 1]
    try:
        return {int(key): name for key, name in rows}
    except ValueError:
        raise UserError(
            f"{path}: needs columns index and name, tab-separated, or lines of a number and a name"
        ) from None


def _image_labels(path: Path, names: Path | None, mask: Path | None) -> Labels:
    if mask is None or names is None:
        lacking = "--mask, the mask that picks the voxels" if mask is None else "--names, its table of names"
        raise UserError(f"{path}: is a label image and needs {lacking}")
    masks = sorted(glob.glob(str(mask))) or [mask]  # noqa: PTH207  Path.glob takes no absolute pattern
    atlas, voxels = load_image(path), Volume("", *mask_voxels(*masks))
    if len(atlas.shape) < 3 or max(atlas.shape[3:], default=1) > 1:
        raise UserError(f"{path}: has shape {atlas.shape}; a label image is (x, y, z)")
    values = np.asanyarray(atlas.dataobj).reshape(atlas.shape[:3])
    world = voxels.centres  # x from left to right
    back = np.linalg.inv(atlas.affine)
    place = np.rint(world @ back[:3, :3].T + back[:3, 3]).astype(int)
    there = ((place >= 0) & (place < values.shape)).all(1)
    key = np.zeros(len(place), int)
    key[there] = np.rint(values[tuple(place[there].T)]).astype(int)
    return Labels(key, read_names(names), np.where(world[:, 0] < 0, *SIDES))


def _dlabel_labels(path: Path) -> Labels:
    image = load_image(path)
    labels, places = (image.header.get_axis(i) for i in (0, 1))
    key = np.asarray(image.dataobj)[0].astype(int)
    structure = np.char.upper(places.name.astype(str))
    side = np.where(np.char.endswith(structure, "_LEFT"), *("left", ""))
    side = np.where(np.char.endswith(structure, "_RIGHT"), "right", side)
    return Labels(key, {k: name for k, (name, _) in labels.label[0].items()}, side)


def _surface_labels(path: Path) -> tuple[str, Labels]:
    """Hemisphere and labels of its vertices."""
    import nibabel

    said = re.search(r"(?:^|[._-])(lh|rh|L|R|left|right)(?=[._-])", path.name)
    side = SIDES[said.group(1)[0].lower() == "r"] if said else ""
    if path.suffix == ".annot":
        try:
            key, _, names = nibabel.freesurfer.read_annot(require(path, "annotation"))
        except (ValueError, OSError, IndexError) as error:
            raise UserError(f"{path}: is not an annotation ({first_line(error)}); get it again") from None
        known = dict(enumerate(name.decode() for name in names))
    else:
        image = load_image(path)
        if not image.darrays or not image.labeltable.labels:
            raise UserError(f"{path}: is not a label file; give one with a table of names")
        key, known = image.darrays[0].data, image.labeltable.get_labels_as_dict()
        metas = (image.meta, image.darrays[0].meta)
        primary = [str(meta.get("AnatomicalStructurePrimary", "")) for meta in metas]
        side = next((name for name in SIDES if f"Cortex{name.title()}" in primary), side)
    if not side:
        raise UserError(
            f"{path}: does not say its hemisphere; put lh or rh, or hemi-L or hemi-R, into its name"
        )
    key = np.asarray(key, int)
    return side, Labels(key, known, np.full(len(key), side))


def _surface_rows(paths: Sequence[Path], table: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Rows of all vertices, or of a voxel table's voxels by their vertices."""
    regions: dict[str, list[str | None]] = {}
    for path in paths:
        side, labels = _surface_labels(path)
        if side in regions:
            raise UserError(f"{path}: is a second file of the {side} hemisphere; give one of each")
        regions[side] = labels.regions(path)
    rows = []
    if not table:
        for side in filter(regions.__contains__, SIDES):
            drawn = len(regions[side]) == _FSAVERAGE5
            places = enumerate(regions[side])
            rows += [{"hemisphere": side, "vertex": i if drawn else None, "roi": roi} for i, roi in places]
    for row in table:
        side, vertex = row.get("hemisphere"), row.get("vertex") or ""
        here = regions.get(side or "", [])
        if here and vertex.isdecimal() and int(vertex) >= len(here):
            raise UserError(
                f"--voxels: vertex {vertex} of voxel {row['voxel']}; the atlas has {len(here)} vertices"
            )
        rows.append({"roi": here[int(vertex)] if here and vertex.isdecimal() else None})
    return rows


def write_regions(
    atlas: Sequence[Path],
    output: Path,
    names: Path | None = None,
    mask: Path | None = None,
    voxels: Path | None = None,
) -> dict[str, int]:
    """Write a subject's voxel table with the regions of an atlas.

    Args:
        atlas: a label image or a dlabel file, or label files of one or both hemispheres.
        output: the table to write.
        names: names of the labels, for a label image.
        mask: that picks the voxels of the responses, for a label image; or a pattern of masks, whose common
            voxels they are.
        voxels: a voxel table whose other columns are kept, and whose vertices are looked up on surfaces.

    Returns:
        number of voxels of each region.

    Raises:
        UserError: a file cannot be used, or no voxel is in any region.
    """
    first = Path(atlas[0])
    table = read_rows(voxels, ("voxel",)) if voxels else []
    if first.name.endswith((".annot", ".gii", ".gii.gz")):
        rows = _surface_rows([Path(path) for path in atlas], table)
    else:
        if len(atlas) > 1:
            raise UserError(
                f"{atlas[1]}: is a second atlas; only surfaces have two files, one per hemisphere"
            )
        whole = first.name.endswith(".dlabel.nii")
        labels = _dlabel_labels(first) if whole else _image_labels(first, names, mask)
        regions = labels.regions(first if whole else names or first)
        if table and max(int(row["voxel"]) for row in table) >= len(regions):
            raise UserError(
                f"{voxels}: has more voxels than the {len(regions)} of the atlas or mask; correct it"
            )
        rows = [
            {"hemisphere": side or None, "vertex": None, "roi": roi}
            for roi, side in zip(regions, labels.side.tolist(), strict=True)
        ]
        rows = [{"roi": rows[int(row["voxel"])]["roi"]} for row in table] if table else rows
    rows = (
        [{"voxel": i, **row} for i, row in enumerate(rows)]
        if not table
        else [{**row, **new} for row, new in zip(table, rows, strict=True)]
    )
    counts: dict[str, int] = {}
    for row in rows:
        if row["roi"]:
            counts[row["roi"]] = counts.get(row["roi"], 0) + 1
    if not counts:
        raise UserError(f"{first}: no voxel is in any of its regions; are both in one space?")
    columns = dict.fromkeys(key for row in rows for key in row)
    write_voxels(output, {key: ["" if row.get(key) is None else row[key] for row in rows] for key in columns})
    return dict(sorted(counts.items()))
