"""The estimators: scikit-learn's own checks, and the same numbers as its ridge and as the closed form."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from voxscale.ridge import BandedRidgeCV, VoxelwiseRidgeCV

# A TR's prediction depends on the TRs before it, which these two checks take away or shuffle.
ORDERED = "delays look at the rows before a row, so rows are no independent samples"
FAILS = {
    "check_methods_sample_order_invariance": ORDERED,
    "check_methods_subset_invariance": ORDERED,
}
ESTIMATORS = [
    VoxelwiseRidgeCV(device="cpu"),
    VoxelwiseRidgeCV(delays=(0,), device="cpu"),
    BandedRidgeCV(delays=(0,), cv=2, samples=1, alphas=(1.0, 10.0), device="cpu"),
]


@pytest.mark.filterwarnings("ignore:SCIPY_ARRAY_API")
@parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda estimator: FAILS if 0 not in estimator.delays else {}
)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


def data(n=150, d=6, voxels=9, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, d)) + 3
    return x, x @ random.standard_normal((d, voxels)) + 4 * random.standard_normal((n, voxels)) + 1


STORIES = np.repeat(["walk", "rain", "exam"], 50)


def delayed(x, stories, delays):
    """The delayed matrix, written out: rows before a story's start are 0."""
    columns = []
    for delay in delays:
        moved = np.zeros_like(x)
        for i in range(len(x)):
            if i >= delay and stories[i - delay] == stories[i]:
                moved[i] = x[i - delay]
        columns.append(moved)
    return np.hstack(columns)


def test_without_delays_and_with_one_alpha_it_is_scikit_learn_s_ridge():
    x, y = data()
    model = VoxelwiseRidgeCV(delays=(0,), alphas=[7.0], precision="float64", device="cpu").fit(x, y, STORIES)
    oracle = Ridge(alpha=49.0).fit(x, y)
    np.testing.assert_allclose(model.coef_[:, 0], oracle.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.intercept_, oracle.intercept_, rtol=1e-8)
    np.testing.assert_allclose(model.predict(x), oracle.predict(x), rtol=1e-8)


@pytest.mark.parametrize("d", [6, 60])  # primal, dual
def test_with_delays_it_is_the_closed_form_at_the_alpha_with_the_best_held_out_r(d):
    x, y = data(d=d)
    delays, alphas = (1, 2, 4), np.array([1.0, 10.0, 100.0])
    model = VoxelwiseRidgeCV(delays, alphas, cv=3, precision="float64", device="cpu").fit(x, y, STORIES)
    wide, centred = delayed(x - x.mean(0), STORIES, delays), y - y.mean(0)

    def solved(rows, alpha):
        gram = wide[rows].T @ wide[rows] + alpha**2 * np.eye(wide.shape[1])
        return np.linalg.solve(gram, wide[rows].T @ centred[rows])

    scores = np.zeros((len(alphas), y.shape[1]))
    for a, alpha in enumerate(alphas):
        for story in np.unique(STORIES):
            held = story == STORIES
            predicted = wide[held] @ solved(~held, alpha)
            scores[a] += [np.corrcoef(*pair)[0, 1] / 3 for pair in zip(predicted.T, y[held].T, strict=True)]
    best = alphas[scores.argmax(0)]
    np.testing.assert_array_equal(model.alphas_, best)
    np.testing.assert_allclose(model.cv_scores_, scores.max(0), atol=1e-6)
    for voxel, alpha in enumerate(best):
        weights = solved(np.full(len(x), True), alpha)[:, voxel]
        np.testing.assert_allclose(model.coef_[voxel].ravel(), weights, rtol=1e-6, atol=1e-9)
    new = np.random.default_rng(5).standard_normal((30, d))
    stories = np.repeat(["a", "b"], 15)
    expected = delayed(new - x.mean(0), stories, delays) @ model.coef_.reshape(len(best), -1).T + y.mean(0)
    np.testing.assert_allclose(model.predict(new, stories), expected, rtol=1e-6)
    assert np.abs(model.predict(new) - expected).max() > 0.01  # one story: its delays reach further


def test_scores_are_pearson_r_and_a_flat_voxel_predicts_its_mean():
    x, y = data()
    y[:, 4] = 5.0
    model = VoxelwiseRidgeCV(delays=(0,), device="cpu").fit(x, y, STORIES)
    r = model.score_per_voxel(x, y)
    expected = [np.corrcoef(model.predict(x)[:, v], y[:, v])[0, 1] for v in range(4)]
    np.testing.assert_allclose(r[:4], expected, atol=1e-6)
    assert r[4] == 0
    assert np.isnan(model.alphas_[4])
    np.testing.assert_allclose(model.predict(x)[:, 4], 5.0)
    assert model.score(x, y) == pytest.approx(r.mean())


def test_it_fits_into_scikit_learn_s_own_tools():
    x, y = data()
    model = make_pipeline(StandardScaler(), VoxelwiseRidgeCV(delays=(0,), device="cpu"))
    assert cross_val_score(model, x, y, groups=STORIES, cv=GroupKFold(3)).mean() > 0.3
    folds = VoxelwiseRidgeCV(delays=(0,), cv=GroupKFold(3), device="cpu").fit(x, y, groups=STORIES)
    own = VoxelwiseRidgeCV(delays=(0,), cv=3, device="cpu").fit(x, y, groups=STORIES)
    np.testing.assert_allclose(folds.cv_scores_, own.cv_scores_, atol=1e-6)


def test_banded_weights_are_those_of_ridge_on_bands_scaled_by_their_shares():
    x, y = data(d=8)
    bands = {"sound": slice(0, 3), "words": [3, 4, 6, 7]}
    model = BandedRidgeCV(bands, samples=6, delays=(0, 2), alphas=(3.0, 30.0), cv=3, device="cpu")
    model.fit(x, y, STORIES)
    assert model.bands_ == ["sound", "words"]
    np.testing.assert_allclose(model.shares_.sum(0), 1)
    assert not model.coef_[:, :, 5].any()
    centred = x - x.mean(0)
    wide = [delayed(centred[:, columns], STORIES, (0, 2)) for columns in bands.values()]
    sizes = np.array([(band**2).sum() / len(x) for band in wide])
    for voxel in range(y.shape[1]):
        gains = np.sqrt(model.shares_[:, voxel] * sizes.sum() / sizes)
        scaled = np.hstack([gain * band for gain, band in zip(gains, wide, strict=True)])
        oracle = Ridge(alpha=model.alphas_[voxel] ** 2, fit_intercept=False)
        predicted = oracle.fit(scaled, y[:, voxel] - y[:, voxel].mean()).predict(scaled)
        np.testing.assert_allclose(
            model.predict(x, STORIES)[:, voxel], predicted + y[:, voxel].mean(), rtol=1e-5
        )
    parts = model.score_per_band(x, y, STORIES)
    np.testing.assert_allclose(parts.sum(0), model.score_per_voxel(x, y, STORIES), atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "groups", "line"),
    [
        ({"alphas": [0.0, 1.0]}, None, "alphas must be above 0"),
        ({"alphas": [1.0, 1.0]}, None, "alphas must be above 0"),
        ({"delays": ()}, None, "delays are"),
        ({"delays": (-1,)}, None, "different whole numbers of TRs from 0 up"),
        ({"device": "abacus"}, None, "abacus is not a device"),
        ({"memory_gb": 0.1}, None, "memory_gb"),
        ({}, ["a"] * 149, "has shape"),
        ({}, [*["a"] * 50, *["b"] * 50, *["a"] * 50], "put each story's rows together"),
    ],
)
def test_what_cannot_work_is_a_value_error_in_plain_words(settings, groups, line):
    x, y = data()
    with pytest.raises(ValueError, match=line):
        VoxelwiseRidgeCV(**{"device": "cpu", **settings}).fit(x, y, groups)


@pytest.mark.parametrize(
    ("bands", "line"),
    [
        ({"a": slice(0, 3), "b": [2, 4]}, "column 2 of X is in two bands"),
        ({"a": slice(9, 12)}, "band a has no column"),
    ],
)
def test_bands_that_cannot_work(bands, line):
    with pytest.raises(ValueError, match=line):
        BandedRidgeCV(bands, device="cpu").fit(*data())
