"""Banded ridge: several feature spaces in one model, each with a penalty of its own in every voxel.

himalaya does the work: a random search over how the penalty is shared between the bands, and within each
share over the grid of alphas. Its kernels are ours, so features need not be delayed in memory.
Source: Dupré la Tour et al. 2022, https://doi.org/10.1016/j.neuroimage.2022.119728
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from voxscale.ridge.cost import PROCESS, SLACK, RidgeSizes
from voxscale.ridge.kernel import cross_kernel, delayed_kernel, delayed_products
from voxscale.ridge.problem import Block, RidgeProblem
from voxscale.ridge.solver import Reader, find_device, sizes_of, slices

VOXELS = 512  # predicted at once
LIBRARIES = 250_000_000  # bytes of himalaya and scikit-learn


class BandedBlock(NamedTuple):
    """Answers for a block of voxels.

    Attributes:
        block: as of single ridge, predictions being those of all bands together.
        share: (bands, v) of the kernel that each band makes up, NaN without a solution. Equal shares
            are joint ridge of bands of one scale.
        parts: (bands, v, m) float32, each band's part of the test prediction.
        dual: (v, n) float64 dual weights, which the bands have in common.
    """

    block: Block
    share: np.ndarray
    parts: np.ndarray
    dual: np.ndarray


def shares(bands: int, samples: int, seed: int) -> np.ndarray:
    """(samples, bands) candidates: equal shares, each band alone, and draws from himalaya's Dirichlet mix."""
    from himalaya.kernel_ridge import generate_dirichlet_samples

    known = np.vstack([np.full((1, bands), 1 / bands), np.eye(bands)])
    if samples <= len(known):
        return known[:samples]
    drawn = generate_dirichlet_samples(samples - len(known), bands, [0.1, 1.0], random_state=seed)
    return np.vstack([known, np.asarray(drawn)])


def banded_bytes(bands: Sequence[RidgeSizes], samples: int, voxels: int) -> int:
    """Upper bound of the process's memory in bytes, with `voxels` fitted at once."""
    first, k = bands[0], len(bands)
    n, m = first.n, first.m
    t = max(size for _, size in first.folds)
    features = sum(4 * (n + m) * band.d for band in bands)
    kernels = 8 * k * (n * n + m * n)
    making = 8 * (2 * n * n + (n + m) * max(band.d for band in bands))
    search = 8 * ((k + 1) * n * n + max(7 * t * t, 6 * n * n))  # one combination, its eigenvectors, a product
    batch = 8 * VOXELS * (2 * n + 4 * k * m)
    each = 8 * (5 * n + 3 * k * m + samples + len(first.folds) * first.alphas)
    held = features + kernels + max(making, search + batch + voxels * each)
    return int(PROCESS + LIBRARIES + SLACK * held)


def voxels_at_once(bands: Sequence[RidgeSizes], samples: int, memory_gb: float) -> int:
    """As many as the memory holds: each block decomposes the kernels again.

    Raises:
        ValueError: not even a few do.
    """
    none, all_ = (banded_bytes(bands, samples, voxels) for voxels in (0, 1_000_000))
    each = (all_ - none) / 1e6
    found = min(bands[0].voxels, int((memory_gb * 1e9 - none) / each))
    if found < min(16, bands[0].voxels):
        raise ValueError(
            f"{memory_gb:.1f} GB are too few for banded ridge of {len(bands)} bands on {bands[0].n} training "
            f"TRs; raise memory_gb to {(none + VOXELS * each) / 1e9:.1f}"
        )
    return found


def kernels_of(bands: Sequence[RidgeProblem], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Delayed kernels of all bands, brought to one mean diagonal.

    ASSUME: a band's share does not depend on how many features it has. The sum of the mean diagonals, so the
    meaning of alpha, stays that of the bands taken as one space.

    Returns:
        (bands, n, n) and (bands, m, n) float64.
    """
    total = sum(band.mean_diagonal for band in bands)
    n, m = len(bands[0].x_train), len(bands[0].x_test)
    train = torch.empty(len(bands), n, n, dtype=torch.float64, device=device)
    test = torch.empty(len(bands), m, n, dtype=torch.float64, device=device)
    for b, band in enumerate(bands):
        x, x_test = (torch.as_tensor(values, device=device) for values in (band.x_train, band.x_test))
        scale, lengths = total / band.mean_diagonal, band.train_lengths
        train[b] = delayed_kernel(x, lengths, band.delays).mul_(scale)
        test[b] = cross_kernel(x_test, band.test_lengths, x, lengths, band.delays).mul_(scale)
    return train, test


def solve_banded(bands: Sequence[RidgeProblem], samples: int, seed: int = 0) -> Iterator[BandedBlock]:
    """Choose each voxel's shares and alpha by cross-validation, predict the test set from all training TRs.

    Everything is float64: in float32 himalaya's scores are off by up to 2e-4 at small penalties.

    Args:
        bands: one problem per band, alike but for their features; the first one's responses, folds and alphas
            count.
        samples: candidates for the shares.

    Yields:
        blocks of voxels, in order.

    Raises:
        ValueError: `memory_gb` is too little, or the device is not there.
    """
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import predict_weighted_kernel_ridge, solve_multiple_kernel_ridge_random_search
    from himalaya.scoring import correlation_score

    first = bands[0]
    step = voxels_at_once([sizes_of(band) for band in bands], samples, first.memory_gb)
    device = find_device(first.device)
    set_backend("torch_cuda" if device.type == "cuda" else "torch")
    train, test = kernels_of(bands, device)
    alphas = first.absolute_alphas(sum(band.mean_diagonal for band in bands))
    candidates = shares(len(bands), samples, seed)
    reader = Reader(first.y_train, "float64", device)
    for voxels in slices(first.y_train.shape[0], step):
        y, valid = reader.read(voxels)
        deltas, dual, scores, chosen = solve_multiple_kernel_ridge_random_search(
            train,
            y.T,
            n_iter=candidates,
            alphas=torch.as_tensor(alphas**2, device=device),
            score_func=correlation_score,
            cv=[(fold.train, fold.held) for fold in first.folds],
            return_weights="dual",
            n_targets_batch=VOXELS,
            n_targets_batch_refit=VOXELS,
            n_alphas_batch=1,
            progress_bar=False,
            return_alphas=True,
        )
        parts = predict_weighted_kernel_ridge(test, dual.to(device), deltas, True, VOXELS)  # (bands, m, v)
        lam = chosen.cpu().numpy()
        nearest = np.abs(np.log(lam)[:, None] - 2 * np.log(alphas)).argmin(1)
        each = parts.permute(0, 2, 1).cpu().numpy()  # (bands, v, m)
        cv_r = scores.max(0).values.cpu().numpy()
        yield BandedBlock(
            Block.of(voxels, valid, nearest, alphas, cv_r, each.sum(0)),
            share=np.where(valid, np.exp(deltas.cpu().numpy()) * lam, np.nan),
            parts=np.where(valid[:, None], each.astype(np.float32), np.float32(np.nan)),
            dual=dual.T.cpu().numpy(),
        )


def band_weights(bands: Sequence[RidgeProblem], found: BandedBlock) -> Iterator[np.ndarray]:
    """Weights of each band's features, (v, delays, d) float64; 0 for voxels without an answer."""
    total = sum(band.mean_diagonal for band in bands)
    for band, share in zip(bands, found.share, strict=True):
        gain = np.nan_to_num(share / found.block.alpha**2 * total / band.mean_diagonal)
        dual, x = (torch.as_tensor(values, dtype=torch.float64) for values in (found.dual, band.x_train))
        products = delayed_products(dual, x, band.train_lengths, band.delays)
        yield products.numpy() * gain[:, None, None]


def split_r(parts: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Each band's part of the correlation of the whole prediction; they add up to it.

    Args:
        parts: (bands, v, m) predictions.
        observed: (v, m).

    Returns:
        (bands, v) float64; NaN where prediction or response do not vary.
    """
    parts = parts - parts.mean(2, keepdims=True, dtype=np.float64)
    observed = observed - observed.mean(1, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(parts.sum(0), axis=1) * np.linalg.norm(observed, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, np.einsum("bvm,vm->bv", parts, observed) / length, np.nan)
