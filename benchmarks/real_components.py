"""Real brain responses in a small download: components of ds003020, converted to a `folder` dataset.

The public repository microsoft/automated-brain-explanations (MIT; the responses are CC0) has the first 200
principal components of the responses of UTS01 to UTS03, z-scored within each story. A story is a pickled data
frame: row k has the components of one TR, and its label is what was said in the TR before.

Run as `python benchmarks/real_components.py FRAMES FOLDER`, which `make real` does.
"""

import argparse
import csv
import pickle
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxscale.errors import UserError
from voxscale.progress import bar

SUBJECTS = ("UTS01", "UTS02", "UTS03")
TR_S = 2.0
_FIRST_ROW_S = 10.0  # start of a story's first row, in seconds after the start of the sound
_BANDS = {"PC1-10": 10, "PC11-50": 40, "PC51-200": 150}  # in place of regions: the strongest components first

# What a pickled data frame needs. Any other name in a pickle may run a program.
_ALLOWED = {
    "pandas": ("DataFrame", "Index", "RangeIndex"),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.internals.managers": ("BlockManager",),
    "pandas._libs.internals": ("_unpickle_block",),
    "pandas.core.indexes.base": ("_new_Index", "Index"),
    "pandas.core.indexes.range": ("RangeIndex",),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy._core.multiarray": ("_reconstruct",),
    "numpy": ("dtype", "ndarray"),
    "builtins": ("slice",),
}


class _FrameUnpickler(pickle.Unpickler):
    """Reads data frames and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # its name before numpy 2
        if name not in _ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"contains {module}.{name}")
        return super().find_class(module, name)


def read_frame(path: Path) -> pd.DataFrame:
    """A pickled data frame, read without running anything that is in the file.

    Raises:
        UserError: the file is damaged, or contains something other than a data frame of numbers.
    """
    try:
        with path.open("rb") as file:
            frame = _FrameUnpickler(file).load()
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"contains a {type(frame).__name__}")
        frame.to_numpy(np.float32)
    except (pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, ImportError) as error:
        raise UserError(f"{path}: not a data frame of numbers ({error}); download it again") from error
    return frame


def convert_components(frames: Path, folder: Path) -> str:
    """Write the `folder` dataset: responses, word tables, `trs.tsv` and a voxel table for each subject.

    Words within a TR are spread evenly over it, since their true times are not in the files.

    Args:
        frames: folder with `<subject>/<train or test>/<story>.pkl`.
        folder: does not exist yet.

    Returns:
        Numbers of stories, hours and words, in words.

    Raises:
        UserError: the folder exists; a file is damaged; two subjects heard other words in the same story.
    """
    if folder.exists():
        raise UserError(f"{folder}: exists already; name another folder")
    paths = sorted(path for subject in SUBJECTS for path in frames.glob(f"{subject}/*/*.pkl"))
    if not paths:
        raise UserError(f"{frames}: has no files like {SUBJECTS[0]}/train/<story>.pkl; name data/decoding")
    texts: dict[str, list[str]] = {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        partial = Path(temporary, folder.name)
        for path in bar(paths, "convert", unit="file"):
            frame = read_frame(path)
            subject, story = path.parts[-3], path.stem
            text = [str(words) for words in frame.index]
            if texts.setdefault(story, text) != text:
                raise UserError(f"{path}: its words differ from another subject's; download the files again")
            responses = partial / "responses" / subject / f"{story}.npy"
            responses.parent.mkdir(parents=True, exist_ok=True)
            np.save(responses, frame.to_numpy(np.float32))
        for story, text in texts.items():
            _write_table(partial / "words" / f"{story}.tsv", ("onset", "duration", "word"), _spread(text))
        clock = [(story, len(text), _FIRST_ROW_S) for story, text in sorted(texts.items())]
        _write_table(partial / "trs.tsv", ("story", "n_tr", "onset_s"), clock)
        labels = [label for label, size in _BANDS.items() for _ in range(size)]
        for subject in SUBJECTS:
            _write_table(partial / "voxels" / f"{subject}.tsv", ("voxel", "roi"), list(enumerate(labels)))
        partial.rename(folder)
    hours = sum(map(len, texts.values())) * TR_S / 3600
    words = sum(len(" ".join(text).split()) for text in texts.values())
    return f"{len(texts)} stories, {hours:.1f} hours, {words} words"


def _spread(text: Sequence[str]) -> list[tuple[str, str, str]]:
    """Rows of a word table: the words of row k were said in the TR before it."""
    rows = []
    for k, said in enumerate(text):
        words = said.split()
        step = TR_S / max(len(words), 1)
        start = _FIRST_ROW_S + (k - 1) * TR_S
        rows += [(f"{start + i * step:.3f}", f"{step:.3f}", word) for i, word in enumerate(words)]
    return rows


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, "excel-tab", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        writer.writerows([header, *rows])


def main() -> None:
    """The command line: convert, and print what was found."""
    parser = argparse.ArgumentParser(description=convert_components.__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        print(convert_components(arguments.frames, arguments.folder))
    except UserError as error:
        sys.exit(f"ERROR {error}")


if __name__ == "__main__":
    main()
