"""Many small quadratic programs at once: the convex combination with the least squared error.

With E the Gram matrix of the members' errors, weights w that are not negative and sum to 1 have the error
w'Ew. Its minimum is the point of the members' convex hull that is nearest to zero, found with an active set:
solve for the members in use; if a weight would become negative, step back to where it is 0 and drop it, else
add the member that lowers the error most. This ends at the exact solution after finitely many steps (Wolfe
1976, doi:10.1007/BF01580381).
"""

from __future__ import annotations

import numpy as np

_TOLERANCE = 1e-9  # of the optimality conditions, relative to the mean diagonal of E
_RIDGE = 1e-12  # relative; keeps members with equal errors from making a singular matrix


def convex_weights(errors: np.ndarray) -> np.ndarray:
    """Weights of the least w'Ew on the simplex, exactly, for every voxel.

    Args:
        errors: (voxels, members, members), symmetric and positive semidefinite.

    Returns:
        (voxels, members) float64; NaN where E has NaN or is 0.
    """
    n_voxels, members = errors.shape[:2]
    weights = np.full((n_voxels, members), np.nan)
    size = np.trace(errors, axis1=1, axis2=2) / members
    open_ = np.flatnonzero(np.isfinite(errors).all((1, 2)) & (size > 0))
    e = errors[open_] / size[open_, None, None] + _RIDGE * np.eye(members)
    active = np.zeros((len(open_), members), bool)
    active[np.arange(len(open_)), np.diagonal(e, axis1=1, axis2=2).argmin(1)] = True
    w = active.astype(float)
    newest = np.full(len(open_), -1)
    for _ in range(50 * members):
        if not len(open_):
            return weights
        target = _on_active(e, active)
        negative = active & (target <= 0)
        # A member added for a gain of rounding size can become negative at once: nothing is left to gain.
        at = np.arange(len(open_))
        stuck = (newest >= 0) & negative[at, newest]
        inside = ~negative.any(1)
        w[inside] = target[inside]
        step = np.where(negative, w / np.where(negative, w - target, 1.0), np.inf).min(1)
        back = ~inside & ~stuck
        w[back] += step[back, None] * (target - w)[back]
        first = negative & (w <= 1e-15 + 1e-12 * w.max(1, keepdims=True))
        active[back] &= ~first[back]
        w[~active] = 0.0
        newest[:] = -1
        # Where no weight is negative: is there a member whose addition lowers the error?
        slope = (e @ w[..., None])[..., 0]
        level = (w * slope).sum(1)
        entry = np.where(active, np.inf, slope).argmin(1)
        gains = slope[at, entry] < level - _TOLERANCE
        enter = inside & gains & ~active.all(1)
        active[at[enter], entry[enter]] = True
        newest[enter] = entry[enter]
        done = stuck | (inside & ~enter)
        weights[open_[done]] = w[done] / w[done].sum(1, keepdims=True)
        kept = ~done
        open_, e, active, w, newest = open_[kept], e[kept], active[kept], w[kept], newest[kept]
    weights[open_] = w / w.sum(1, keepdims=True)
    return weights


def _on_active(e: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Least w'Ew with weights that sum to 1 on the active members: (voxels, members), 0 elsewhere."""
    members = e.shape[1]
    both = active[:, :, None] & active[:, None, :]
    system = np.where(both, e, 0.0) + np.where(active, 0.0, 1.0)[:, :, None] * np.eye(members)
    found = np.linalg.solve(system, active.astype(float)[..., None])[..., 0]
    return found / found.sum(1, keepdims=True)
