"""The workflow's own copy of a subject's responses: checked, in float32, voxel-major, in bounded memory."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from voxscale.dataset.average import Member, common_headers, mean_responses
from voxscale.dataset.clock import read_clocks
from voxscale.dataset.disk import announce_writing
from voxscale.dataset.images import Reading, require_same
from voxscale.dataset.repeats import Agreement
from voxscale.dataset.response_files import (
    ResponseHeader,
    StoryResponses,
    kind_of,
    open_responses,
    read_response_header,
)
from voxscale.dataset.responses import RESPONSES_FORMAT, VOXELS_NAME, read_columns
from voxscale.dataset.voxels import kept_voxels
from voxscale.errors import UserError
from voxscale.io import add_array, checked, new_hdf5, set_attributes
from voxscale.progress import bar

_BLOCK_BYTES = 64 << 20


def _blocks(columns: np.ndarray, bytes_per_voxel: int) -> Iterator[slice]:
    size = max(1, _BLOCK_BYTES // bytes_per_voxel)
    for start in range(0, len(columns), size):
        yield slice(start, min(start + size, len(columns)))


def survey(
    sources: Mapping[str, Sequence[str | Path]], clocks: str | Path, reading: Reading | None = None
) -> dict[str, ResponseHeader]:
    """Check every shape before the first file is copied: an error comes at once, not after an hour."""
    dropped = reading.dummy_scans if reading else 0
    listed = read_clocks(clocks, dummy_scans=dropped)
    expected_trs = {story: listed[story].n_response for story in sources}
    shapes: dict[str, ResponseHeader] = {}
    for story, files in sources.items():
        where, found = str(files[0]), read_response_header(files, reading)
        expected = expected_trs[story]
        if found.n_trs != expected:
            hint = "transpose it" if found.n_voxels == expected else "get it again or correct the table"
            raise UserError(
                f"{where}: has {found.n_trs + dropped} TRs, but {clocks} says {expected + dropped}; {hint}"
            )
        first = next(iter(shapes.values()), found)
        if found.n_voxels != first.n_voxels:
            raise UserError(
                f"{where}: has {found.n_voxels} voxels, but {next(iter(shapes))} has {first.n_voxels}; "
                "leave the story out or get it again"
            )
        if found.geometry and first.geometry:
            require_same(where, found.geometry, sources[next(iter(shapes), story)][0], first.geometry)
        shapes[story] = found
    return shapes


def _warn(where: str, message: str) -> None:
    print(f"WARNING {where}: {message}", file=sys.stderr)


class _Tally:
    """What a user should know about a story's values, gathered block by block."""

    def __init__(self) -> None:
        self.missing = 0  # values
        self.voxels = 0  # voxels with any missing value
        self.worst = 0.0  # largest distance of the repeats' mean from data, in deviations of data
        self.finite = self.varies = False
        self.constant: list[np.ndarray] = []  # whether a voxel never changes, block by block
        self.empty: list[np.ndarray] = []  # whether it has no finite value
        self.agreement = Agreement()
        self.digests: list[Any] = []  # of each repeat

    def add(self, data: np.ndarray) -> None:
        bad = np.isnan(data)
        self.missing += int(bad.sum())
        self.voxels += int(bad.any(axis=0).sum())
        self.empty.append(bad.all(axis=0))
        self.finite |= not bad.all()
        same = data[1:] == data[:-1]
        self.varies |= not (same | bad[1:] | bad[:-1]).all()
        self.constant.append(same.all(axis=0))

    @property
    def copies(self) -> bool:
        """Whether two repeats have the same values."""
        digests = [digest.digest() for digest in self.digests]
        return len(set(digests)) < len(digests)

    def compare(self, data: np.ndarray, repeats: np.ndarray) -> None:
        self.digests = self.digests or [hashlib.sha256() for _ in repeats]
        for digest, one in zip(self.digests, repeats, strict=True):
            digest.update(np.ascontiguousarray(one))
        ok = np.isfinite(data).all(axis=0) & np.isfinite(repeats).all(axis=(0, 1))
        if ok.any():
            distance = np.abs(repeats[..., ok].mean(axis=0, dtype=np.float64) - data[:, ok]).max(axis=0)
            scale = np.maximum(data[:, ok].std(axis=0), np.abs(data[:, ok]).max(axis=0) * 1e-3) + 1e-30
            self.worst = max(self.worst, float((distance / scale).max()))
            self.agreement.add(repeats[..., ok])


def _copy(
    where: str, group: h5py.Group | None, source: StoryResponses, columns: np.ndarray, weak_repeats: str
) -> _Tally:
    """Copy one story block by block into `group` (or only look at it), in bounded memory."""
    n_trs, n_repeats = source.data.shape[0], 0 if source.repeats is None else len(source.repeats)
    if group is not None:
        # Voxel-major: a block of voxels lies together.
        group.create_dataset("data", **checked((len(columns), n_trs), (64, n_trs)))
        if n_repeats:
            group.create_dataset("repeats", **checked((n_repeats, len(columns), n_trs), (1, 64, n_trs)))
    tally = _Tally()
    for part in _blocks(columns, 8 * n_trs * (1 + n_repeats)):
        data = read_columns(source.data, columns[part])  # (TRs, v)
        tally.add(data)
        if group is not None:
            group["data"][part] = data.T
        if n_repeats:
            repeats = read_columns(source.repeats, columns[part])  # (repeats, TRs, v)
            tally.compare(data, repeats)
            if group is not None:
                group["repeats"][:, part] = repeats.swapaxes(1, 2)
    if not tally.finite:
        raise UserError(f"{where}: has no finite value at all; leave the story out or get it again")
    if not tally.varies:
        raise UserError(f"{where}: no voxel changes over time; leave the story out or get it again")
    if tally.copies:
        _warn(where, "two repeats of the story have the same values: noise ceilings will be too high")
    if n_repeats > 1 and tally.agreement.by_chance:
        what = (
            f"the story's {n_repeats} repeats do not correlate with each other more than chance "
            f"({tally.agreement.deviations:.1f} deviations); check that each is of the whole story from the "
            "same TR on; sections of a story are stories of their own (config key dataset.bids.sections or "
            "dataset.fmriprep.sections)"
        )
        if weak_repeats == "refuse":
            raise UserError(
                f"{where}: {what}; if they are repeats, but weak, set config key dataset.weak_repeats: accept"
            )
        _warn(where, what)
    if tally.worst > 1e-3:
        _warn(where, f"data is not the mean of its repeats (off by up to {tally.worst:.2g} deviations)")
    return tally


def prepare_responses(
    path: str | Path,
    sources: Mapping[str, Sequence[str | Path]],
    clocks: str | Path,
    test_stories: Sequence[str],
    reading: Reading | None = None,
    voxels: str | Path | None = None,
    keep: str = "float32",
    weak_repeats: str = "refuse",
    provenance: Mapping[str, Any] | None = None,
    members: Sequence[Member] = (),
) -> None:
    """Check one subject's responses and write the workflow's own copy of them.

    Args:
        path: file to write; `voxscale.dataset.responses.open_subject` reads it.
        sources: story -> its response files, in the order to keep.
        clocks: the dataset's `respdict.json` or TR table, which says how many TRs each story must have.
        test_stories: those of `sources` that are tested on.
        reading: how images are read.
        voxels: the subject's voxel table, which may say which voxels to keep; default all.
        weak_repeats: `refuse` or `accept` repeats that agree no more than chance.
        keep: `float32` for a copy, `none` to read the originals in place (hf5 and npy only).
        members: of a subject that is a mean, the subjects it is of; the files of `sources` are theirs.

    Raises:
        UserError: a file is missing, a stub, cut off, of the wrong shape or without a finite value; the
            voxels differ between stories or members, or are not the table's; the disk is too small. The line
            names the file.
    """
    path = Path(path)
    heard = list(members) or [Member(sources, reading)]
    shapes = common_headers(heard, [survey(one.sources, clocks, one.reading) for one in heard])
    places = {story: f"{path}: {story}" if members else str(files[0]) for story, files in sources.items()}
    packed = [name for files in sources.values() for name in files if kind_of(Path(name)) == "npz"]
    if keep == "none" and packed:
        raise UserError(
            f"config key dataset.keep: {packed[0]} is unpacked whole each time it is read, so a copy must be "
            "kept; use float32"
        )
    n_voxels = next(iter(shapes.values())).n_voxels
    kept = kept_voxels(voxels, n_voxels)
    trs = sum(shape.n_trs for shape in shapes.values())
    rows = sum(shape.n_trs * (1 + shape.n_repeats) for shape in shapes.values())
    what = f"{path}: {len(shapes)} stories, {trs} TRs x {len(kept)} voxels"
    size = 0 if keep == "none" else 4 * len(kept) * rows
    announce_writing(what, size, path, "set config key dataset.keep: none")
    tallies: dict[str, _Tally] = {}
    with new_hdf5(path) as file:
        add_array(file, VOXELS_NAME, kept)
        for story, files in bar(sources.items(), "responses", unit="story"):
            group = file.create_group(story)
            with (
                contextlib.nullcontext(mean_responses(members, story, shapes[story].n_repeats))
                if members
                else open_responses(files, reading)
            ) as source:
                tally = _copy(places[story], None if keep == "none" else group, source, kept, weak_repeats)
            tallies[story] = tally
            about = {"n_trs": shapes[story].n_trs, "n_repeats": shapes[story].n_repeats}
            about |= {"missing_values": tally.missing, "missing_voxels": tally.voxels}
            if keep == "none":
                about["source"] = str(Path(files[0]).absolute())
            set_attributes(group, about)
        about = {
            "n_columns": n_voxels,  # of the dataset's own files
            "stories": json.dumps(list(sources)),
            "test_stories": json.dumps(list(test_stories)),
            "provenance": json.dumps(provenance or {}, sort_keys=True),
            "format": RESPONSES_FORMAT,
        }
        set_attributes(file, about)
    _warn_of_voxels(path, places, shapes, tallies)


def _warn_of_voxels(
    path: Path,
    places: Mapping[str, str],
    shapes: Mapping[str, ResponseHeader],
    tallies: Mapping[str, _Tally],
) -> None:
    """Say how many voxels have missing values or never change; once, where all stories agree."""
    empty = np.all([np.concatenate(tally.empty) for tally in tallies.values()], axis=0)
    constant = {story: np.concatenate(tally.constant) for story, tally in tallies.items()}
    elsewhere = ~np.all(list(constant.values()), axis=0)  # voxels that change in some story
    n_empty = int(empty.sum())
    if n_empty:
        _warn(str(path), f"{n_empty} of {len(empty)} voxels have no value in any story and are scored NaN")
    for story, tally in tallies.items():
        where = places[story]
        if missing := tally.missing - n_empty * shapes[story].n_trs:
            voxels = tally.voxels - n_empty
            _warn(where, f"{missing} values in {voxels} voxels are not finite; these voxels are scored NaN")
        if n := int((constant[story] & elsewhere).sum()):
            _warn(
                where,
                f"{n} of {len(empty)} voxels never change in this story, but do in others; "
                "check whether the file is whole",
            )
