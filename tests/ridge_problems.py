"""Small ridge problems with something to find in them."""

import numpy as np

from voxscale.ridge import RidgeProblem, story_folds


def make_problem(lengths, d, n_voxels, test_lengths=(40,), seed=0, delays=(1, 2), degenerate="", **changes):
    """Features driven by a few smooth latents; voxels follow them two TRs later, under noise."""
    random = np.random.default_rng(seed)
    n, m = sum(lengths), sum(test_lengths)
    latents = random.standard_normal((n + m + 2, min(d, 6)))
    latents = latents[2:] + 2 * latents[1:-1] + latents[:-2]
    x = latents @ random.standard_normal((latents.shape[1], d)) + random.standard_normal((n + m, d))
    if degenerate == "collinear":
        x[:, d // 2 :] = x[:, : d - d // 2] * 2
    x = (x - x.mean(0)) / x.std(0)
    if degenerate == "constant":
        x[:, 0] = 0
    signal = np.roll(latents, 2, 0)[:n] @ random.standard_normal((latents.shape[1], n_voxels))
    y = signal * random.random(n_voxels) + 3 * random.standard_normal((n, n_voxels))
    y = ((y - y.mean(0)) / y.std(0)).T
    given = {
        "x_train": x[:n].astype(np.float32),
        "train_lengths": list(lengths),
        "x_test": x[n:].astype(np.float32),
        "test_lengths": list(test_lengths),
        "y_train": np.ascontiguousarray(y, np.float32),
        "folds": story_folds(lengths, 5),
        "alphas": np.logspace(0, 3, 7),
        "delays": delays,
    }
    return RidgeProblem(**{**given, **changes})


def whole(blocks):
    """Blocks of a solution as one array per field."""
    blocks = list(blocks)
    return {name: np.concatenate([getattr(b, name) for b in blocks]) for name in blocks[0]._fields[1:]}
