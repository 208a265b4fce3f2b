"""Records of the rules that fit encoding models, a batch of cells a job, or use the alphas of such a fit."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from voxscale.encoding import CELL, CELL_FILES, held_features, held_responses
from voxscale.errors import naming
from voxscale.jobs import resources
from voxscale.jobs.batches import batches_of, cells_in
from voxscale.jobs.features import feature_numbers
from voxscale.jobs.fit_device import decided_encoding, fit_device
from voxscale.jobs.record import BATCH, Parameter, Rule, Wildcards, light
from voxscale.jobs.resources import MB, Need
from voxscale.jobs.sizes import Sizes
from voxscale.provenance import hash_config
from voxscale.study import Cell, Study, feature_settings, fit_means, fit_settings
from voxscale.versions import numbers


def _wildcards(cells: Iterable[Cell]) -> list[Wildcards]:
    return [{key: str(value) for key, value in cell._asdict().items()} for cell in cells]


def _stacked(study: Study) -> list[Wildcards]:
    cells = (cell for subject in study.subjects for cell in study.stacking_cells(subject))
    return _wildcards(dict.fromkeys(cells))


def _banded(study: Study) -> list[Wildcards]:
    return [
        {"banded": name, "subject": subject, "n_train": str(study.grid.stories[subject])}
        for name in study.config["banded"]
        for subject in study.subjects
    ]


def _shape(sizes: Sizes, cell: Cell) -> tuple[Sizes, int, str, int, int]:
    """What the cost of a fit follows from; that of the thousands of layers of one shape is computed once."""
    return sizes, sizes.width(cell.model), cell.subject, cell.n_train, sizes.n_fits(cell)


@functools.cache
def _price(sizes: Sizes, width: int, subject: str, n_train: int, draws: int, shared: float = 0.0) -> Need:
    scoring = sizes.study.config["scoring"]
    # All folds are scored together.
    unfitted = sizes.test_trs(subject) - sizes.fold_test_trs(subject)
    shared += 40.0 * sizes.voxels(subject) * math.ceil(unfitted / scoring["block_trs"])
    others = sizes.train_trs(subject), scoring["block_trs"], scoring["permutations"], shared
    return resources.fit(*_problem(sizes, width, subject, n_train), draws, *others)


def _problem(sizes: Sizes, width: int, subject: str, n_train: int) -> tuple[Any, ...]:
    """The ridge problem of a cell's largest draw: TRs, widths and settings, for the cost functions."""
    trs = sizes.longest(subject, n_train), sizes.fold_test_trs(subject)
    return *trs, width, sizes.voxels(subject), decided_encoding(sizes.study)


def _fitting(sizes: Sizes, **batch: str) -> Need:
    """The cells of a batch, one after the other."""
    return fitting(sizes, cells_in(sizes.study, batch))


def fitting(sizes: Sizes, cells: Sequence[Cell]) -> Need:
    """What a job takes that fits cells of one model and subject."""
    shapes = [_shape(sizes, cell) for cell in cells]
    _, width, subject, _, _ = shapes[0]
    encoding, trs = decided_encoding(sizes.study), sizes.train_trs(subject) + sizes.test_trs(subject)
    memory_gb, n_layers = encoding["memory_gb"], len({cell.layer for cell in cells})
    several = sum(shape[-1] for shape in shapes), memory_gb, resources.fits_on_card(encoding)
    shared = held_responses(sizes.voxels(subject), trs, *several)
    shared += held_features(width, trs, n_layers, memory_gb)
    needs = [_price(*shape, shared) for shape in shapes]
    largest = max(needs, key=lambda need: need.memory_mb)
    seconds = resources.START_S + sum(need.seconds - resources.START_S for need in needs)
    return replace(
        largest,
        seconds=seconds,
        threads=max(need.threads for need in needs),
        disk_mb=sum(need.disk_mb for need in needs),
    )


@functools.cache
def _both_ways(sizes: Sizes, width: int, subject: str, n_train: int, draws: int) -> tuple[float, float]:
    permutations = sizes.study.config["scoring"]["permutations"]
    return resources.fit_hours(*_problem(sizes, width, subject, n_train), draws, permutations)


def both_ways(sizes: Sizes, cells: Sequence[Cell]) -> tuple[float, float]:
    """Core-hours of a job that fits cells on CPUs, and its GPU-hours on a GPU."""
    each = [_both_ways(*_shape(sizes, cell)) for cell in cells]
    cores, gpus = map(sum, zip(*each, strict=True))
    return cores + resources.START_S / 3600, gpus + resources.START_S / 3600


def _one_draw(sizes: Sizes, **wildcards: str) -> Need:
    return _price(*_shape(sizes, sizes.study.cell(**wildcards))[:-1], 1)


def _predicting(sizes: Sizes, **wildcards: str) -> Need:
    """A fit that keeps what it predicts."""
    subject, fit = wildcards["subject"], _one_draw(sizes, **wildcards)
    trs = sizes.train_trs(subject, int(wildcards["n_train"])) + sizes.test_trs(subject)
    kept = 4.0 * trs * sizes.voxels(subject) / MB
    return replace(fit, memory_mb=fit.memory_mb + kept, disk_mb=kept)


def _weighing(sizes: Sizes, **wildcards: str) -> Need:
    """A fit whose weights are written block by block, one of them in memory."""
    fit = _one_draw(sizes, **wildcards)
    features = sizes.width(wildcards["model"]) * len(sizes.study.config["encoding"]["delays"])
    kept = 4.0 * features * sizes.voxels(wildcards["subject"])
    return replace(fit, seconds=fit.seconds + kept / resources.DISK_BYTES, disk_mb=kept / MB)


def _fitting_banded(sizes: Sizes, banded: str, subject: str, n_train: str) -> Need:
    """Banded ridge of one subject, as himalaya searches; priced on CPUs."""
    from voxscale.ridge import RidgeSizes, banded_bytes, default_memory_gb, voxels_at_once

    config = sizes.study.config
    encoding, scoring = config["encoding"], config["scoring"]
    samples = config["banded"][banded]["samples"]
    alphas, folds = encoding["alphas"]["n"], encoding["folds"]["n"]
    widths = [sizes.width(band["model"]) for band in sizes.study.bands(banded)]
    train, test = sizes.train_trs(subject, int(n_train)), sizes.test_trs(subject)
    voxels, held = sizes.voxels(subject), math.ceil(train / folds)
    kept = train - held
    shape = {"n": train, "m": test, "delays": len(encoding["delays"]), "voxels": voxels, "alphas": alphas}
    bands = [RidgeSizes(d=width, folds=((held, kept),) * folds, **shape) for width in widths]
    own = voxels * (64.0 + 40 * math.ceil(test / scoring["block_trs"]))
    on_gpu = _banded_on_gpu(sizes.study)
    memory_gb = encoding["memory_gb"] or default_memory_gb(on_gpu)
    with naming("config key encoding.memory_gb"):
        at_once = voxels_at_once(bands, samples, memory_gb - own / 1e9)
    # In float64: eigenvectors of each fold and of all rows, a matrix per alpha; then all voxels.
    once = folds * (10 * kept**3 + 2 * alphas * held * kept**2) + 10 * train**3 + 2 * alphas * train**3
    each = 2 * alphas * folds * held * kept + 2 * alphas * train**2
    flops = 2.0 * samples * (once * math.ceil(voxels / at_once) + each * voxels)
    flops += 0.1 * scoring["permutations"] * test * voxels
    threads = resources.worth_threads(flops)
    read = 4.0 * (train + test) * (voxels + sum(widths))
    time = resources.START_S + flops / (resources.CPU_FLOPS * threads) + read / resources.DISK_BYTES
    memory = banded_bytes(bands, samples, at_once) + own + 90.0 * (len(widths) + 1) * voxels
    return Need(memory / MB, time, threads, int(on_gpu), voxels * (45.0 + 30 * len(widths)) / MB)


@functools.cache
def _threads(sizes: Sizes, width: int, subject: str, n_train: int, draws: int) -> int:
    """The same number as in `need`, but without the solver's plan, which needs torch."""
    encoding = decided_encoding(sizes.study)
    if resources.fits_on_card(encoding):
        return resources.CARD_THREADS
    flops = resources.cell_flops(
        sizes.train_trs(subject, n_train),
        sizes.fold_test_trs(subject),
        width,
        sizes.voxels(subject),
        encoding,
        draws,
        sizes.study.config["scoring"]["permutations"],
    )
    return resources.worth_threads(flops)


def _threads_of_fits(sizes: Sizes, **batch: str) -> int:
    return max(_threads(*_shape(sizes, cell)) for cell in cells_in(sizes.study, batch))


def _threads_of_one_draw(sizes: Sizes, **wildcards: str) -> int:
    return _threads(*_shape(sizes, sizes.study.cell(**wildcards))[:-1], 1)


def _on_gpu(study: Study) -> bool:
    return fit_device(study).on_gpu


def _banded_on_gpu(study: Study) -> bool:
    """Banded fits, whose speed on a GPU was never measured, get one only where the config names it."""
    return resources.fits_on_card(study.config["encoding"])


def _cell(study: Study, cell: Cell) -> dict[str, Any]:
    """A cell that a job fits, with its number of draws."""
    return cell._asdict() | {"n_draws": study.grid.draws.get(cell, 1)}


@functools.cache
def _settings(study: Study, model: str) -> str:
    """Digest of what the fits of one model depend on, except their cells."""
    about = fit_settings(study), feature_numbers(study, model), feature_settings(study, model)
    return hash_config([*about, numbers("encoding")])


def cell_settings(study: Study, cell: Cell) -> str:
    """Digest of what a cell is fitted with, which its files keep."""
    return hash_config([*_cell(study, cell).values(), _settings(study, cell.model)])


def _means(study: Study, w: Wildcards) -> dict[str, Any]:
    return fit_means(study)


# A cell's files are kept when the index of its batch is written again, so that its predictions are, too: what
# they depend on is in their own parameters.
_ENCODING: dict[str, Parameter] = {
    "cell": lambda study, w: _cell(study, study.cell(**w)),
    "settings": lambda study, w: fit_settings(study),
    "extractor": lambda study, w: feature_numbers(study, w["model"]),
    "features": lambda study, w: feature_settings(study, w["model"]),
}

RULES = (
    Rule(
        "fit_encoding",
        outputs={"fits": f"results/fits/{BATCH}.json"},
        jobs=batches_of,
        need=_fitting,
        threads=_threads_of_fits,
        gpu=_on_gpu,
        params={
            "cells": lambda study, w: [_cell(study, cell) for cell in cells_in(study, w)],
            "cell_settings": lambda study, w: [cell_settings(study, cell) for cell in cells_in(study, w)],
            "settings": lambda study, w: fit_settings(study),
        },
        means=_means,
        numbers=("encoding",),
    ),
    Rule(
        "describe_banded",
        outputs={"banded_card": "results/models/banded-{banded}.json"},
        jobs=lambda study: [{"banded": name} for name in study.config["banded"]],
        need=light,
        params={"model": lambda study, w: study.banded_cell(w["banded"], "", 0).model},
        numbers=("banded",),
    ),
    Rule(
        "fit_banded",
        outputs={
            "bands": "results/banded/{banded}/subject={subject}/n_train={n_train}/bands.parquet",
            "banded_scores": CELL_FILES["scores"]
            .replace("{model}", "banded-{banded}")
            .replace("{layer}", "0"),
        },
        schemas={"banded_scores": "scores"},
        jobs=_banded,
        need=_fitting_banded,
        gpu=_banded_on_gpu,
        params={
            "bands": lambda study, w: study.bands(w["banded"]),
            "cell": lambda study, w: study.banded_cell(**w)._asdict(),
            "samples": lambda study, w: study.config["banded"][w["banded"]]["samples"],
            "settings": lambda study, w: fit_settings(study),
            "features": lambda study, w: [
                feature_settings(study, band["model"]) for band in study.bands(w["banded"])
            ],
            "extractors": lambda study, w: [
                feature_numbers(study, band["model"]) for band in study.bands(w["banded"])
            ],
        },
        means=_means,
        numbers=("banded",),
    ),
    Rule(
        "predict_encoding",
        outputs={"cell_predictions": f"results/predictions/{CELL}.h5"},
        jobs=_stacked,
        need=_predicting,
        threads=_threads_of_one_draw,
        gpu=_on_gpu,
        params=_ENCODING,
        means=_means,
        numbers=("encoding",),
        unmoved_by=("fit_encoding",),
        deleted_after="stack_models",
    ),
    Rule(
        "weigh_encoding",
        outputs={"cell_weights": f"results/weights/{CELL}.h5"},
        jobs=lambda study: _wildcards(study.grid.cells()),
        need=_weighing,
        threads=_threads_of_one_draw,
        gpu=_on_gpu,
        params=_ENCODING,
        means=_means,
        numbers=("encoding",),
        unmoved_by=("fit_encoding",),
        on_request=True,
    ),
)
