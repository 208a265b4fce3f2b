"""A few seconds of a dataset in ds003020's published layout, small enough to write in a test."""

import json
from pathlib import Path

import h5py
import numpy as np
from praatio import textgrid


def write_textgrid(path, words, phones=(), kind="long_textgrid", encoding="utf-8", names=("phone", "word")):
    """Write (onset, offset, label) lists as Praat would."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    end = max(offset for _, offset, _ in [*words, *phones, (0, 1, "")]) + 1
    grid = textgrid.Textgrid(0, end)
    for name, intervals in zip(names, (phones, words), strict=True):
        filled = intervals or [(0.0, end, "")]
        grid.addTier(textgrid.IntervalTier(name, filled, 0, end))
    grid.save(str(path), kind, includeBlankSpaces=True)
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.encode(encoding))
    return path


def words_of(story, seconds, rate=2.0):
    """Words named after their story at a steady rate."""
    return [(i / rate, i / rate + 0.4, f"{story}{i}") for i in range(int(seconds * rate))]


def heard(random, repeats, n_trs, n_voxels):
    """(repeats, TRs, voxels): what the repeats have in common, and half as much noise."""
    return random.normal(size=(n_trs, n_voxels)) + 0.2 * random.normal(size=(repeats, n_trs, n_voxels))


def write_published(root, stories, subjects, n_voxels=6, repeats=3, test=(), seed=0):
    """Write respdict, TextGrids and responses; `stories` maps a story to its TRs after trimming."""
    root, random = Path(root), np.random.default_rng(seed)
    (root / "derivative").mkdir(parents=True, exist_ok=True)
    (root / "derivative/respdict.json").write_text(json.dumps({s: n + 20 for s, n in stories.items()}))
    written = {}
    for story, n_trs in stories.items():
        write_textgrid(root / f"derivative/TextGrids/{story}.TextGrid", words_of(story, 2 * n_trs))
        for subject in subjects:
            path = root / f"derivative/preprocessed_data/{subject}/{story}.hf5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w") as file:
                data = random.normal(size=(n_trs, n_voxels))
                if story in test:
                    each = heard(random, repeats, n_trs, n_voxels)
                    file["individual_repeats"], data = each, each.mean(0)
                file["data"] = data
            written[subject, story] = data
    return written


def write_kept(path, voxels):
    """A table of voxels that keeps some and no other."""
    path.write_text("voxel\tkeep\n" + "".join(f"{voxel}\tyes\n" for voxel in voxels))
    return path
