"""Stored features and fits that no current config uses: `voxscale prune --configfile config/mine.yaml`.

Of features a config uses what its next run would read: the names of the files follow from stories, settings,
weights and the version of the numbers. So the half-done work of a killed extraction is used, and a file of an
older setting is not. What the models' present indexes link to is kept too. Of fits it uses its cells, with
whatever settings they were made. Without `--delete` nothing is deleted.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from voxscale.errors import UserError
from voxscale.features import feature_files, speech_files, text_files
from voxscale.io import read_json
from voxscale.jobs.cells import FittedCells
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.text import size
from voxscale.study import Study, feature_means, feature_settings

FEATURES = Path("results/features")
STORIES = FEATURES / "stories"
FITS = [Path("results", name) for name in ("fits", "scores", "moments")]
WRITING_S = 3600.0  # ASSUME: a temporary file older than an hour belongs to a writer that was killed


def _expected(study: Study, model: str) -> set[Path]:
    """Story files that the study's next run would read of a language or speech model.

    Raises:
        UserError: a file that determines them does not exist yet.
    """
    modality = study.registry[model].modality
    card_path = Path(f"results/models/{model}.json")
    if not card_path.exists():
        raise UserError(f"{card_path}: no such file; run the study first")
    card, settings = read_json(card_path), feature_settings(study, model) | feature_means(study, model)
    folders = {story: Path("results/stories") / story for story in study.stories}
    if modality == "language":
        files_of = text_files
        inputs = {story: d / "words.parquet" for story, d in folders.items()}
    else:
        files_of = speech_files
        inputs = dict(zip(folders, study.sounds(study.stories), strict=True))
    stories = {story: (inputs[story], d / "clock.parquet") for story, d in folders.items()}
    return set(files_of(card, stories, STORIES, settings).values())


def unused_features(studies: Iterable[Study]) -> list[Path]:
    """Files and folders under `results/features` that none of the studies uses.

    A model's folder and index go together when no study names the model. Where the names of a model's files
    cannot be known yet, none of them is given.

    Raises:
        UserError: an index cannot be read.
    """
    studies = list(studies)
    kept: dict[str, set[Path] | None] = {}  # model -> its files in use; None for all
    for study in studies:
        for model in study.grid.used_models:
            index = FEATURES / f"{model}.h5"
            files = set(feature_files(index).values()) if index.exists() else set()
            if study.registry[model].has_network:
                try:
                    files |= _expected(study, model)
                except (UserError, OSError):
                    kept[model] = None
            if kept.setdefault(model, set()) is not None:
                kept[model] |= files
    found = [index for index in sorted(FEATURES.glob("*.h5")) if index.stem not in kept]
    for folder in sorted(STORIES.glob("*/")):
        if folder.name not in kept:
            found.append(folder)
            continue
        used = kept[folder.name]
        resolved = {path.resolve() for path in used or ()}
        for file in sorted(folder.glob("*.h5")):
            known = used is not None or file.name.startswith(".")
            useless = known and file.resolve() not in resolved and not _is_being_written(file)
            found += [file] if useless else []
    return found


def unused_fits(studies: Iterable[Study]) -> list[Path]:
    """Files and folders of fits that are no cell, no batch and no banded model of the studies."""
    kept: set[Path] = set()
    for study in studies:
        of_rules = (job for job in Jobs(study).all() if job.rule in ("fit_encoding", "fit_banded"))
        kept |= {path for job in of_rules for path in job.outputs}
        files = FittedCells(study)
        kept |= {path for cell in study.grid.cells() for path in (*files.paths(cell), files.scratch(cell))}
    return [
        path for folder in FITS for path in _unused(folder, kept, set().union(*(p.parents for p in kept)))
    ]


def _unused(folder: Path, kept: set[Path], parents: set[Path]) -> Iterator[Path]:
    """What is in a folder besides files in use and the folders of these."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path in parents:
            yield from _unused(path, kept, parents)
        elif path not in kept and not _is_being_written(path):
            yield path


def _is_being_written(path: Path) -> bool:
    return path.name.startswith(".") and time.time() - path.stat().st_mtime <= WRITING_S


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def prune_files(found: Sequence[Path], delete: bool = False) -> str:
    """List unused files and folders with their sizes, and delete them if asked to.

    Args:
        found: as `unused_features` and `unused_fits` give them.

    Raises:
        UserError: they are to be deleted while a run is in progress.
    """
    if delete and any(Path(".snakemake/locks").glob("*.lock")):
        raise UserError(f"{Path.cwd()}: a run is in progress here; prune when it has ended")
    sizes = {path: _megabytes(path) for path in found}
    lines = [f"{size(megabytes):>10}  {path}" for path, megabytes in sizes.items()]
    total = size(sum(sizes.values()))
    if not delete:
        hint = "; delete them with --delete" if found else ""
        return "\n".join([*lines, f"{total:>10}  that no config named here uses{hint}"])
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return "\n".join([*lines, f"{total:>10}  deleted"])
