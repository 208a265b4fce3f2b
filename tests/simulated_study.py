"""Studies whose law is known: responses of which a model of size d predicts a stated share."""

from __future__ import annotations

from typing import NamedTuple

import h5py
import numpy as np
from scipy import signal

from voxscale.encoding.fit import scored_rows
from voxscale.io import tables
from voxscale.laws.likelihood import aicc
from voxscale.laws.points import Point
from voxscale.ridge import RidgeProblem, solve_ridge, split_r, story_folds
from voxscale.statistics import (
    block_counts,
    block_sums,
    blocks_of,
    centre_stories,
    draw_weights,
    mean_scores,
)

HRF = np.array([0.2, 0.6, 1.0, 0.8, 0.4, 0.1])


def smooth(white: np.ndarray) -> np.ndarray:
    """Series of unit variance that are correlated over some TRs, as haemodynamic ones are."""
    return signal.lfilter(HRF / np.linalg.norm(HRF), [1], white)[..., 50:]


def correlate(predicted, observed, lengths=None, skip=0):
    """Pearson r of each row within stories of these lengths, without the first `skip` TRs of each."""
    lengths = [predicted.shape[1]] if lengths is None else lengths
    rows = scored_rows(lengths, skip)
    p, y = (centre_stories(x, lengths, skip)[:, rows] for x in (predicted, observed))
    return split_r(p[None], y)[0]


def chain(r, trs, noise_shared=0.3, seed=0):
    """Predictions of stated correlation, each holding all of the one before it, and responses.

    Args:
        r: (models, voxels) correlation of each model, rising from model to model.

    Returns:
        predicted (models, voxels, trs), observed (voxels, trs).
    """
    rng = np.random.default_rng(seed)
    models, voxels = r.shape
    weight = np.sqrt(np.diff(r**2, axis=0, prepend=0))
    # Voxels share a part of their latents, so that their errors are correlated.
    common = smooth(rng.normal(size=(models, 1, trs + 50)))
    own = smooth(rng.normal(size=(models, voxels, trs + 50)))
    predicted = np.cumsum(weight[..., None] * np.sqrt(0.5) * (common + own), 0)
    white = rng.normal(size=(voxels, trs + 50)) * np.sqrt(1 - noise_shared)
    white += rng.normal(size=trs + 50) * np.sqrt(noise_shared)
    return predicted, predicted[-1] + np.sqrt(1 - r[-1] ** 2)[:, None] * smooth(white)


def nested(sizes, voxels=40, trs=300, intercept=0.05, slope=0.08, law=None, seed=0):
    """Predictions of nested models, and responses.

    A voxel's correlation with the model of size d is intercept + slope·log10 d, or law(sizes), times a factor
    of the voxel (1 on average): each size adds a latent that explains just as much as the law asks for.

    Returns:
        predicted (sizes, voxels, trs), observed (voxels, trs), factor (voxels,).
    """
    factor = np.linspace(0.5, 1.5, voxels)
    r = intercept + slope * np.log10(sizes) if law is None else law(sizes)
    return *chain(r[:, None] * factor, trs, seed=seed), factor


def resampled(predicted, observed, seed, draws=300):
    """Mean r and mean signed r² of each model in each resample of blocks: (resamples, models, metrics)."""
    blocks = blocks_of({"test": observed.shape[1]}, 10)
    counts = block_counts(len(blocks.n), draws, seed)
    sets = {"all": np.ones(len(observed), bool)}
    whole = slice(0, len(observed))
    models = [[(whole, block_sums(p, observed, blocks))] for p in predicted]
    return np.stack([mean_scores(parts, blocks, counts, sets)[:, 0] for parts in models], 1)


def plain_aicc(rss, points, parameters):
    """AICc of a fit whose points have independent errors of one unknown variance."""
    # A perfect fit of rounding size is not better than another perfect fit.
    return aicc(points * np.log(max(rss / points, 1e-20)), points, parameters)


def joint_points(surface, sizes, hours, voxels=20, trs=300, spread=0.06, seed=0, draws=300):
    """Points of a study of several models and training sizes, five draws at each size below the largest.

    Args:
        surface: (size, hours) -> mean correlation.
        spread: standard deviation of a draw's own luck, relative, at the smallest size; none at the largest.
    """
    rng = np.random.default_rng(seed)
    luck = spread * rng.normal(size=5)
    cells, targets = [], []
    for n in sizes:
        for d in hours:
            fading = np.sqrt((1 / d - 1 / hours[-1]) / (1 / hours[0] - 1 / hours[-1]))
            each = 1 + luck * fading if d < hours[-1] else np.ones(1)
            cells += [(n, d, len(each))]
            targets += list(surface(n, d) * each)
    order = np.argsort(targets)
    r = np.array(targets)[order][:, None] * np.linspace(0.5, 1.5, voxels)
    scores = resampled(*chain(r, trs, seed=seed), seed, draws)[:, np.argsort(order)]
    points, start, n_blocks = [], 0, -(-trs // 10)
    for n, d, own in cells:
        weights = draw_weights(own, draws, seed, 0.9, n_blocks)
        y = np.einsum("rdm,rd->rm", scores[:, start : start + own], weights)
        about = {"model": f"m{n:g}", "parameters": n, "n_train": d}
        points.append(Point(about, d, n_blocks, {"all": y}, {"all": np.ones(2)}, {"all": (voxels, 0)}))
        start += own
    return points


class LayerScores(NamedTuple):
    """Mean correlations of each layer (layers,): held out in training, on the test set, on fresh data."""

    cv: np.ndarray
    test: np.ndarray
    fresh: np.ndarray
    best: int


def layer_scores(seed, n_layers=9, best=5, voxels=8, width=12, stories=6, story_trs=40, test_trs=120):
    """Ridge on layers that hold ever more, then ever less, of what drives the voxels; `best` holds most."""
    rng = np.random.default_rng(seed)
    n, fresh_trs = stories * story_trs, 3000
    total = n + test_trs + fresh_trs
    latent = smooth(rng.normal(size=(4, total + 50))).T  # (TRs, 4)
    y = np.roll(latent, 2, 0) @ rng.normal(size=(4, voxels)) + 5 * rng.normal(size=(total, voxels))
    y = ((y - y.mean(0)) / y.std(0)).T.astype(np.float32)
    scores = []
    for layer in range(n_layers):
        gain = 1 / (1 + 0.5 * abs(layer - best))
        x = gain * latent @ rng.normal(size=(4, width)) + 2 * rng.normal(size=(total, width))
        x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
        problem = RidgeProblem(
            x_train=x[:n],
            train_lengths=[story_trs] * stories,
            x_test=x[n:],
            test_lengths=[total - n],
            y_train=y[:, :n],
            folds=story_folds([story_trs] * stories, 3),
            alphas=np.logspace(0, 3, 6),
        )
        (block,) = solve_ridge(problem)
        parts = (slice(0, test_trs), slice(test_trs, None))
        r = [
            [np.corrcoef(p[part], o[n:][part])[0, 1] for p, o in zip(block.test_prediction, y, strict=True)]
            for part in parts
        ]
        scores.append([block.cv_r.mean(), *np.mean(r, 1)])
    return LayerScores(*np.array(scores).T, best)


def write_moments(path, predicted, observed, lengths, block=10, skip=0):
    """Moments of a cell: predicted (draws, voxels, trs)."""
    blocks = blocks_of(lengths, block, skip)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["moments"] = np.array([block_sums(p, observed, blocks) for p in predicted]).astype(np.float32)
        file["voxel"] = np.arange(len(observed))
        file["n"], file["start_tr"] = blocks.n, blocks.start_tr
        file.create_dataset("story", data=[str(s) for s in blocks.story], dtype=h5py.string_dtype())
    return path


def summary_row(**known):
    """A row of table `summary`, what is not given being NaN or a plain default."""
    schema = tables.SCHEMAS["summary"]
    row = {field.name: np.nan for field in schema}
    row |= {"layer": 1, "n_train": 5, "draw": 0, "voxel_set": "all", "family": "nested", "modality": "nested"}
    row |= {"parameters": None, "parameters_non_embedding": None, "n_layers": 1, "width": 1, "depth": 1.0}
    row |= {"train_trs": 1000, "train_hours": 0.5, "n_features": 4, "wide": False, "n_voxels": 1, "n_nan": 0}
    return row | known


def write_voxels(path, subjects, voxels, ccmax=0.9, region=None, tenths=False):
    """Table `voxels`: every voxel reliable, the first half in a region when one is named; tenths in order."""
    n = len(subjects) * voxels
    roi = ([region] * (voxels // 2) + [None] * (voxels - voxels // 2)) * len(subjects)
    rows = [
        {
            "subject": subjects[i // voxels],
            "voxel": i % voxels,
            "hemisphere": None,
            "vertex": None,
            "roi": roi[i],
            "ccmax": ccmax,
            "explainable": 0.3,
            "reliable": True,
            "scored": True,
            "decile": i % voxels * 10 // voxels + 1 if tenths else None,
            "significant": True,
            "reference": "none",
        }
        for i in range(n)
    ]
    tables.write("voxels", rows, path)
    return path
