"""Stored features that no current config uses: `python -m voxscale.jobs.prune --configfile config/mine.yaml`.

Used is what a config's next run would read: the stories, settings, weights and code decide the names of the
files (`story_key`), so the half-done work of a killed extraction counts as used, and a file of an older
setting does not. What the models' present indexes link to is kept too. Deletes nothing without `--delete`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxscale.errors import UserError
from voxscale.features import feature_files, speech_files, text_files
from voxscale.io import read_json
from voxscale.jobs.plan import enter, load_jobs
from voxscale.study import Study, feature_settings

FEATURES = Path("results/features")
STORIES = FEATURES / "stories"
WRITING_S = 3600.0  # ASSUME: a temporary file older than an hour belongs to a writer that was killed


def expected(study: Study, model: str) -> set[Path]:
    """Story files that the study's next run would read of a language or speech model.

    Raises:
        UserError: something they follow from is not there yet.
    """
    modality = study.registry[model].modality
    card_path = Path(f"results/models/{model}.json")
    if not card_path.exists():
        raise UserError(f"{card_path}: no such file; run the study first")
    card, settings = read_json(card_path), feature_settings(study, model)
    folders = {story: Path("results/stories") / story for story in study.stories}
    if modality == "language":
        files_of = text_files
        inputs = {story: d / "words.parquet" for story, d in folders.items()}
    else:
        files_of = speech_files
        inputs = dict(zip(folders, study.sounds(study.stories), strict=True))
    stories = {story: (inputs[story], d / "clock.parquet") for story, d in folders.items()}
    return set(files_of(card, stories, STORIES, settings).values())


def unused(studies: Iterable[Study]) -> list[Path]:
    """Files and folders under `results/features` that none of the studies uses.

    A model's folder and index go together when no study names the model. Where the names of a model's files
    cannot be known yet, none of them is given.

    Raises:
        UserError: an index is there and cannot be read.
    """
    studies = list(studies)
    kept: dict[str, set[Path] | None] = {}  # model -> its files in use; None for all
    for study in studies:
        for model in study.grid.used_models:
            index = FEATURES / f"{model}.h5"
            files = set(feature_files(index).values()) if index.exists() else set()
            if study.registry[model].has_network:
                try:
                    files |= expected(study, model)
                except (UserError, OSError):
                    kept[model] = None
            if kept.setdefault(model, set()) is not None:
                kept[model] |= files
    found = [index for index in sorted(FEATURES.glob("*.h5")) if index.stem not in kept]
    for folder in sorted(STORIES.glob("*/")):
        if folder.name not in kept:
            found.append(folder)
            continue
        living = kept[folder.name]
        for file in sorted(folder.glob("*.h5")):
            if file.name.startswith("."):
                dead = time.time() - file.stat().st_mtime > WRITING_S
            else:
                dead = living is not None and file.resolve() not in {path.resolve() for path in living}
            found += [file] if dead else []
    return found


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is unused and, if told so, delete it; 0, or 1 after one line about a mistake."""
    parser = argparse.ArgumentParser(prog="voxscale prune", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--configfile", nargs="+", help="all studies that share these results; default: the demo's"
    )
    parser.add_argument("--directory", default=".", help="where results/ is")
    parser.add_argument("--delete", action="store_true", help="delete, do not only print")
    options = parser.parse_args(arguments)
    try:
        configs = [Path(path).resolve() for path in options.configfile or ()]
        enter(options.directory)
        found = unused(load_jobs(config).study for config in configs or [None])
        if options.delete and any(Path(".snakemake/locks").glob("*.lock")):
            raise UserError(f"{Path.cwd()}: a run is under way here; prune when it has ended")
        for path in found:
            print(f"{size(path) / 1e6:10.1f} MB  {path}")
        total = sum(map(size, found)) / 1e6
        if options.delete:
            for path in found:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            print(f"{total:10.1f} MB  deleted")
        else:
            print(
                f"{total:10.1f} MB  that no config named here uses"
                + ("; delete by --delete" if found else "")
            )
    except UserError as error:
        print(f"ERROR prune: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
