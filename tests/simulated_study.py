"""Studies whose law is known: responses of which a model of size d predicts a stated share."""

from __future__ import annotations

import h5py
import numpy as np
from scipy import signal

from voxscale import tables
from voxscale.bootstrap import block_sums, blocks_of

HRF = np.array([0.2, 0.6, 1.0, 0.8, 0.4, 0.1])


def smooth(white: np.ndarray) -> np.ndarray:
    """Series of unit variance that are correlated over some TRs, as haemodynamic ones are."""
    return signal.lfilter(HRF / np.linalg.norm(HRF), [1], white)[..., 50:]


def nested(sizes, voxels=40, trs=300, intercept=0.05, slope=0.08, noise_shared=0.3, seed=0):
    """Predictions of nested models, and responses.

    A voxel's correlation with the model of size d is intercept + slope·log10 d (times a factor of the voxel,
    1 on average): each size adds a latent that explains just as much as the line asks for.

    Returns:
        predicted (sizes, voxels, trs), observed (voxels, trs), factor (voxels,).
    """
    rng = np.random.default_rng(seed)
    factor = np.linspace(0.5, 1.5, voxels)
    r = (intercept + slope * np.log10(sizes))[:, None] * factor  # (sizes, voxels)
    weight = np.sqrt(np.diff(r**2, axis=0, prepend=0))
    # Latents are shared by voxels in part, so that voxels err together.
    common = smooth(rng.normal(size=(len(sizes), 1, trs + 50)))
    own = smooth(rng.normal(size=(len(sizes), voxels, trs + 50)))
    latents = np.sqrt(0.5) * (common + own)
    predicted = np.cumsum(weight[..., None] * latents, 0)
    white = rng.normal(size=(voxels, trs + 50)) * np.sqrt(1 - noise_shared)
    white += rng.normal(size=trs + 50) * np.sqrt(noise_shared)
    noise = signal.lfilter([np.sqrt(1 - 0.3**2)], [1, -0.3], white)[..., 50:]
    return predicted, predicted[-1] + np.sqrt(1 - r[-1] ** 2)[:, None] * noise, factor


def write_moments(path, predicted, observed, lengths, block=10):
    """Moments of a cell: predicted (draws, voxels, trs)."""
    blocks = blocks_of(lengths, block)
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


def write_voxels(path, subjects, voxels, ccmax=0.9, region=None):
    """Table `voxels`: every voxel reliable, the first half in a region when one is named."""
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
            "decile": None,
            "significant": True,
            "reference": "none",
        }
        for i in range(n)
    ]
    tables.write("voxels", rows, path)
    return path
