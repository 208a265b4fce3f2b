"""Damage every kind of file of a finished study in many ways, and see what its reader says.

    python tests/damage.py FOLDER [FLIPS]

FOLDER holds `results` of a study. Nothing in it is changed: each file is copied into a `results` of its own.
Printed are, for each kind of file, the cases that were reported in one line, those without an effect, and
those that would have been used silently or ended in a traceback; both of these must be none.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset.responses import open_subject
from voxscale.encoding.moments import MomentsFile
from voxscale.errors import UserError
from voxscale.features import store
from voxscale.io import attributes, read_json, tables
from voxscale.models.digests import require_unchanged
from voxscale.models.opening import open_config, open_tokenizer
from voxscale.report.page import read_figure

Reader = Callable[[Path], Any]


def _responses(path: Path) -> Any:
    subject = open_subject(path)
    read = [subject.read(story).tobytes() for story in subject.stories]
    repeats = [subject.repeats(s).tobytes() for s in subject.stories if subject.n_repeats(s)]
    return subject.voxels.tolist(), subject.stories, subject.test_stories, read, repeats, subject.attrs


def _moments(path: Path) -> Any:
    file = MomentsFile(path)
    blocks = file.blocks
    kept = np.ones(len(blocks.n), bool)
    values = [v.tobytes() for draw in range(file.n_draws) for _, v in file.read(draw, kept)]
    return file.voxels.tolist(), blocks.n.tolist(), list(blocks.story), blocks.start_tr.tolist(), values


def _story_features(path: Path) -> Any:
    layers = sorted(store.stored_names(path)[0])
    with store._open(path) as file:
        return [(layer, file[str(layer)][:].tobytes()) for layer in layers], attributes(file)


def _table(name: str) -> Reader:
    return lambda path: tables.read(name, path).to_pydict()


def _model(path: Path) -> Any:
    folder = path.parent
    card = read_json(folder.with_suffix(".json")) | {"path": str(folder)}
    require_unchanged(card)
    return open_config(folder).to_dict(), open_tokenizer(folder).encode("some words"), card["files"]


# Kind of file: the pattern of its path under `results`, and how the workflow reads it.
KINDS: dict[str, tuple[str, Reader]] = {
    **{name: (f"stories/*/{name}.parquet", _table(name)) for name in ("words", "phones", "clock")},
    "subjects": ("subjects/UTS??.parquet", _table("subjects")),
    "responses digest": ("subjects/*-responses.json", read_json),
    "responses": ("responses/*.h5", _responses),
    "ceiling": ("ceiling/UTS??.parquet", _table("ceiling")),
    "card": ("models/*.json", read_json),
    "model": ("models/tiny-opt-*/*", _model),
    "batch": ("features/stories/*/batch-*.json", read_json),
    "story features": ("features/stories/*/*.h5", _story_features),
    "index": ("features/*.h5", store.feature_files),
    "cell scores": ("scores/*/*/*/*/*.parquet", _table("scores")),
    "moments": ("moments/**/*.h5", _moments),
    **{name: (f"tables/*/{name}.parquet", _table(name)) for name in ("scores", "summary", "voxels")},
    "law points": ("laws/*-points.parquet", _table("law_points")),
    "stacking": ("stacking/UTS??.parquet", _table("stacking")),
    "figure": ("figures/*.png", lambda path: read_figure(path, "", 1)),
    "numbers": ("figures/*.csv", lambda path: read_figure(path.with_suffix(".png"), "", 1)),
}


def damages(
    whole: bytes, other: bytes | None, flips: int, rng: np.random.Generator
) -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """Ways to damage a file that held `whole`, by name.

    Args:
        other: content of a valid file of the same kind; None: no swap.
        flips: bytes of which one bit is changed, one at a time.
    """

    def content(changed: bytes) -> Callable[[Path], Any]:
        return lambda path: path.write_bytes(changed)

    yield "halved", content(whole[: len(whole) // 2])
    yield "emptied", content(b"")
    yield "zeroed", content(bytes(len(whole)))
    for where in rng.choice(len(whole), min(flips, len(whole)), replace=False):
        changed = bytearray(whole)
        changed[where] ^= 1 << int(rng.integers(8))
        yield f"byte {where}", content(bytes(changed))
    if other is not None:
        yield "swapped", content(other)
    yield "missing", Path.unlink
    yield "folder", lambda path: (path.unlink(), path.mkdir())
    yield "dangling link", lambda path: (path.unlink(), path.symlink_to("nowhere"))


def outcome(read: Reader, path: Path, expected: str) -> str:
    """What a reader made of a damaged file: told, harmless, silent, or a traceback."""
    try:
        found = repr(read(path))
    except UserError:
        return "told"
    except Exception as error:
        return f"traceback {type(error).__name__}: {str(error)[:80]}"
    return "harmless" if found == expected else "silent"


def try_file(read: Reader, path: Path, other: bytes | None, flips: int) -> Iterator[tuple[str, str]]:
    """Each damage to one file, which is put back after each, and its outcome."""
    whole, expected = path.read_bytes(), repr(read(path))
    for name, damage in damages(whole, other, flips, np.random.default_rng(0)):
        damage(path)
        yield name, outcome(read, path, expected)
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)


def other_of(path: Path, files: list[Path]) -> bytes | None:
    """Content of another file of the kind, of the same name if there is one."""
    whole = path.read_bytes()
    others = [file for file in files if file.suffix == path.suffix and file.read_bytes() != whole]
    return min(others, key=lambda file: file.name != path.name).read_bytes() if others else None


def main(folder: Path, flips: int) -> int:
    """Try up to three files of each kind; the number of cases that are not as they must be."""
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "results"
        shutil.copytree(folder / "results", copy, ignore=shutil.ignore_patterns("phantom", "logs"))
        for kind, (pattern, read) in KINDS.items():
            files = sorted(path for path in copy.glob(pattern) if path.is_file())
            count: Counter[str] = Counter()
            for path in files[:: max(1, len(files) // 3)][:3]:
                for name, found in try_file(read, path, other_of(path, files), flips):
                    count[found.split()[0]] += 1
                    if found not in ("told", "harmless"):
                        print(f"    {path.relative_to(copy)}, {name}: {found}")
            bad += count.total() - count["told"] - count["harmless"]
            print(f"{kind}: {dict(count)}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40) > 0)
