"""Batched quadratic programs on the simplex against scipy, and against the optimality conditions."""

import numpy as np
import pytest
from scipy import optimize

from voxscale.stacking.simplex import convex_weights


def residual(errors, weights):
    """Largest violation of the optimality conditions, relative to E's mean diagonal: (voxels,).

    At the optimum every member in use has the slope (Ew)_i = w'Ew, no other has a smaller one, no weight is
    negative, and the weights sum to 1.
    """
    size = np.trace(errors, axis1=1, axis2=2) / errors.shape[1]
    slope = (errors @ weights[..., None])[..., 0] / size[:, None]
    excess = slope - (weights * slope).sum(1, keepdims=True)
    parts = [-excess, weights * np.abs(excess), -weights, np.abs(weights.sum(1, keepdims=True) - 1)]
    return np.concatenate(parts, 1).max(1)


def errors_of(rng, voxels, members, samples, common=0.5):
    f = rng.normal(size=(voxels, members, samples)) * rng.uniform(0.5, 1.5, (voxels, members, 1))
    f += common * rng.normal(size=(voxels, 1, samples))
    return f @ np.swapaxes(f, 1, 2)


@pytest.mark.parametrize("members", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("samples", [4, 60])
def test_no_voxel_violates_the_optimality_conditions(members, samples):
    """Fewer samples than members make singular matrices."""
    errors = errors_of(np.random.default_rng(members), 400, members, samples, common=1.0)
    weights = convex_weights(errors)
    assert residual(errors, weights).max() < 1e-6
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)


def test_same_as_scipy():
    errors = errors_of(np.random.default_rng(1), 25, 5, 30)
    for e, w in zip(errors, convex_weights(errors), strict=True):
        found = optimize.minimize(
            lambda v, e=e: v @ e @ v / np.trace(e),
            np.full(5, 0.2),
            jac=lambda v, e=e: 2 * e @ v / np.trace(e),
            method="SLSQP",
            bounds=[(0, None)] * 5,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        np.testing.assert_allclose(w, found.x, atol=1e-5)


def test_residual_sees_what_is_not_optimal():
    errors = errors_of(np.random.default_rng(2), 50, 4, 30)
    assert (residual(errors, np.full((50, 4), 0.25)) > 1e-3).all()
    weights = convex_weights(errors)
    assert (residual(errors, weights * 1.01) > 1e-3).all()


def test_equal_members_and_voxels_without_data():
    errors = errors_of(np.random.default_rng(3), 3, 4, 30)
    errors[:, 1] = errors[:, 0]
    errors[:, :, 1] = errors[:, :, 0]
    errors[1, 2, 2] = np.nan
    errors[2] = 0.0
    weights = convex_weights(errors)
    assert residual(errors[:1], weights[:1]).max() < 1e-6
    assert np.isnan(weights[1:]).all()


def test_known_weights_come_back():
    """Responses that are a stated mixture of the members."""
    rng = np.random.default_rng(4)
    truth = rng.dirichlet(np.full(6, 0.4), size=80)
    truth[truth < 0.05] = 0
    truth /= truth.sum(1, keepdims=True)
    p = rng.normal(size=(80, 6, 4000))
    y = np.einsum("vk,vkt->vt", truth, p) + 0.5 * rng.normal(size=(80, 4000))
    f = y[:, None] - p
    np.testing.assert_allclose(convex_weights(f @ np.swapaxes(f, 1, 2)), truth, atol=0.04)
