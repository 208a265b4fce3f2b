"""The solver against textbook ridge in float64, in both forms, for shapes that nobody chose by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ridge_oracle import Oracle, correlation, delay
from ridge_problems import make_problem, whole
from sklearn.linear_model import Ridge

from voxscale.ridge import (
    chunk_folds,
    make_plan,
    plan_ridge,
    predict_ridge,
    sizes_of,
    solve_ridge,
    solve_weights,
    story_folds,
)
from voxscale.ridge.budget import choose_form
from voxscale.ridge.kernel import delayed_kernel

CV_GATE, TEST_GATE, LOSS_GATE, SAME_GATE = 2e-6, 5e-6, 1e-6, 0.999


def compare(problem, oracle=None):
    """Largest differences from the oracle, and which voxels have its alpha, or one that ties with it."""
    oracle = oracle or Oracle(problem)
    found = whole(solve_ridge(problem))
    voxels, chosen = np.arange(problem.y_train.shape[0]), found["alpha_index"]
    best = oracle.cv.argmax(0)
    random = np.random.default_rng(3)
    y_test = random.standard_normal((len(problem.x_test), len(voxels)))
    r = correlation(found["test_prediction"].T.astype(np.float64), y_test)
    return {
        "cv": np.abs(found["cv_r"] - oracle.cv[chosen, voxels]).max(),
        "test": np.abs(r - correlation(oracle.test[chosen, :, voxels].T, y_test)).max(),
        "loss": (oracle.cv[best, voxels] - oracle.cv[chosen, voxels]).max(),
        # With one feature, say, every alpha scores the same, and any is right.
        "same": oracle.cv[best, voxels] - oracle.cv[chosen, voxels] < 1e-9,
    }


def assert_gates(differences):
    assert differences["cv"] <= CV_GATE
    assert differences["test"] <= TEST_GATE
    assert differences["loss"] <= LOSS_GATE


shapes = st.fixed_dictionaries(
    {
        "lengths": st.lists(st.integers(20, 70), min_size=1, max_size=6),
        "d": st.integers(1, 90),
        "n_voxels": st.integers(1, 25),
        "seed": st.integers(0, 10_000),
        "delays": st.sampled_from([(1, 2), (1, 2, 3, 4), (0,), (0, 3), (2, 1)]),
        "degenerate": st.sampled_from(["", "", "collinear", "constant"]),
        "screen": st.sampled_from(["on", "off"]),
    }
)
# Absolute, and in units of the kernel as the two presets have it.
grids = st.sampled_from([("absolute", 0, 3), ("kernel", -2, 2), ("kernel", -3, 2)])


def test_gates_for_any_shape():
    same = []

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(shape=shapes, grid=grids, form=st.sampled_from(["auto", "dual", "primal"]), chunks=st.booleans())
    def gates(shape, grid, form, chunks):
        scale, low, high = grid
        problem = make_problem(**shape, alphas=np.logspace(low, high, 7), alpha_scale=scale)
        n = len(problem.x_train)
        if chunks and n >= 30:
            problem = replace(problem, folds=chunk_folds(n, 4, 10, 0.3, shape["seed"]))
        # Where features are fewer than TRs or copies of each other, the dual is nobody's choice.
        full = problem.n_features >= n and not shape["degenerate"]
        problem = replace(problem, form="auto" if form == "dual" and not full else form)
        differences = compare(problem)
        assert_gates(differences)
        same.extend(differences["same"])

    gates()
    assert len(same) > 400
    assert np.mean(same) >= SAME_GATE


@pytest.mark.parametrize(
    ("lengths", "p"),
    [([45, 20], 44), ([60, 60], 80), ([40, 22, 20], 48), ([45, 45], 48), ([40, 30, 50], 96), ([30] * 5, 132)],
)
def test_folds_with_fewer_training_trs_than_features(lengths, p):
    """Where a fold's training rows leave some axis out, a small penalty must not magnify rounding."""
    problem = make_problem(lengths, p // 4, 40, delays=(1, 2, 3, 4), alpha_scale="kernel")
    problem = replace(problem, alphas=np.logspace(-3, 2, 11))
    assert plan_ridge(problem).form == "primal"
    assert_gates(compare(problem))


@pytest.mark.parametrize(("lengths", "d"), [([40, 30, 50], 60), ([60, 60, 60], 90), ([40, 30, 50], 55)])
def test_dual_and_primal_agree_around_as_many_features_as_trs(lengths, d):
    problem = make_problem(lengths, d, 30)
    oracle = Oracle(problem)
    for form in ("dual", "primal"):
        assert_gates(compare(replace(problem, form=form), oracle))


def test_float64_is_exact():
    for form in ("dual", "primal"):
        problem = make_problem([40, 30, 50], 60, 20, precision="float64", form=form)
        differences = compare(problem)
        assert differences["cv"] < 5e-8  # cv_r itself is float32
        assert differences["test"] < 5e-8
        assert differences["same"].all()


def test_small_penalties_on_weak_components_keep_their_digits():
    problem = make_problem([60, 50, 70], 30, 40, delays=(1, 2, 3, 4))
    for form in ("dual", "primal"):
        assert_gates(compare(replace(problem, form=form, alphas=np.logspace(-3, 2, 9), alpha_scale="kernel")))


def test_float32_factors_are_used_and_pass_the_gates(monkeypatch):
    monkeypatch.setattr("voxscale.ridge.dual.FLOAT32_ROWS", 200)
    problem = make_problem([60] * 5, 150, 60, alphas=np.logspace(0, 3, 5))
    used = []
    original = torch.linalg.cholesky_ex
    monkeypatch.setattr(torch.linalg, "cholesky_ex", lambda c: (used.append(c.dtype), original(c))[1])
    assert_gates(compare(problem))
    assert set(used) == {torch.float32, torch.float64}


def test_weights_and_predictions_are_those_of_sklearn():
    for d in (10, 90):
        problem = make_problem([40, 30, 50], d, 6)
        found = whole(solve_ridge(problem))
        x = delay(problem.x_train, problem.train_lengths, problem.delays)
        x_test = delay(problem.x_test, problem.test_lengths, problem.delays)
        w = np.full((6, d * 2), np.nan)
        for part in solve_weights(problem, found["alpha_index"]):
            w[part.voxels] = part.values.reshape(len(part.voxels), -1)
        for voxel in range(6):
            # Another library's solver, and its own convention: its alpha is our λ.
            ridge = Ridge(alpha=found["alpha"][voxel] ** 2, fit_intercept=False, solver="svd")
            ridge.fit(x, problem.y_train[voxel].astype(np.float64))
            np.testing.assert_allclose(w[voxel], ridge.coef_, atol=2e-6)
            np.testing.assert_allclose(found["test_prediction"][voxel], ridge.predict(x_test), atol=5e-6)


@pytest.mark.parametrize("d", [10, 90])
def test_weights_are_the_textbooks(d, monkeypatch):
    problem = make_problem([40, 30, 50], d, 20, delays=(0, 3))
    chosen = np.random.default_rng(0).integers(-1, 7, 20)
    y = problem.y_train.copy()
    y[4] = 1.0
    oracle = Oracle(problem)
    few = replace(plan_ridge(problem), voxels=6)
    monkeypatch.setattr("voxscale.ridge.prediction.plan_ridge", lambda *problem: few)
    seen = []
    for part in solve_weights(replace(problem, y_train=y), chosen):
        assert part.values.dtype == np.float32
        expected = oracle.weights[chosen[part.voxels], :, part.voxels].reshape(-1, 2, d)
        np.testing.assert_allclose(part.values, expected, atol=2e-6)
        seen += part.voxels.tolist()
    assert sorted(seen) == [v for v in range(20) if chosen[v] >= 0 and v != 4]


@pytest.mark.parametrize("d", [8, 100])
@pytest.mark.parametrize("kind", ["stories", "chunks"])
def test_out_of_fold_predictions(d, kind):
    problem = make_problem([40, 30, 53], d, 12, test_lengths=(20, 25))
    if kind == "chunks":
        problem = replace(problem, folds=chunk_folds(123, 4, 10, 0.3, 0))
    oracle = Oracle(problem)
    chosen = whole(solve_ridge(problem))["alpha_index"]
    chosen[3] = -1
    parts = list(predict_ridge(problem, chosen))
    assert np.array_equal(np.concatenate([part.voxels for part in parts]), np.arange(12))
    oof, test = (np.concatenate([getattr(part, name) for part in parts]) for name in ("oof", "test"))
    assert np.isnan(oof[3]).all()
    assert np.isnan(test[3]).all()
    voxels = np.delete(np.arange(12), 3)
    expected = oracle.oof[chosen[voxels], :, voxels]
    assert (np.isnan(expected).any(0) == (kind == "chunks")).any()  # chunks leave some rows out
    np.testing.assert_allclose(oof[voxels], expected, atol=5e-6)
    np.testing.assert_allclose(test[voxels], oracle.test[chosen[voxels], :, voxels], atol=5e-6)


def test_bad_voxels_have_no_score_and_disturb_nobody():
    for d in (8, 100):
        problem = make_problem([40, 30, 50], d, 20)
        clean = whole(solve_ridge(problem))
        y = problem.y_train.copy()
        y[4], y[9], y[13, 7], y[17, 0] = 0.0, 2.5, np.nan, np.inf
        found = whole(solve_ridge(replace(problem, y_train=y)))
        bad = [4, 9, 13, 17]
        assert np.flatnonzero(~found["valid"]).tolist() == bad
        for name in ("alpha", "cv_r", "test_prediction"):
            assert np.isnan(found[name][bad]).all()
            good = (np.delete(values[name], bad, 0) for values in (found, clean))
            np.testing.assert_allclose(*good, atol=1e-6)
        assert not found["edge"][bad].any()


def test_one_group_of_alphas_at_a_time_gives_the_same(monkeypatch):
    for d in (8, 100):
        problem = make_problem([40, 30, 50], d, 50, screen="on")
        once = whole(solve_ridge(problem))
        few = replace(plan_ridge(problem), alphas=2, voxels=16, keep_responses=False)
        monkeypatch.setattr("voxscale.ridge.solver.plan_ridge", lambda *problem, few=few: few)
        monkeypatch.setattr("voxscale.ridge.prediction.plan_ridge", lambda *problem, few=few: few)
        again = whole(solve_ridge(problem))
        np.testing.assert_array_equal(again["alpha_index"], once["alpha_index"])
        np.testing.assert_allclose(again["cv_r"], once["cv_r"], atol=1e-6)
        np.testing.assert_allclose(again["test_prediction"], once["test_prediction"], atol=1e-5)
        oof = np.empty((50, 120))
        for part in predict_ridge(problem, once["alpha_index"]):
            oof[part.voxels] = part.oof
        monkeypatch.undo()
        (expected,) = (part.oof for part in predict_ridge(problem, once["alpha_index"]))
        np.testing.assert_allclose(oof, expected, atol=1e-5)


def test_nested_sets_take_blocks_of_one_kernel():
    lengths = [30, 25, 40, 35]
    problem = make_problem(lengths, 100, 15)
    kernel = delayed_kernel(torch.as_tensor(problem.x_train), lengths, problem.delays)
    rows = np.r_[0:30, 55:95]
    part = replace(
        problem,
        x_train=problem.x_train[rows],
        train_lengths=[30, 40],
        y_train=problem.y_train[:, rows],
        folds=story_folds([30, 40], 5),
    )
    alone, shared = (
        whole(solve_ridge(part)),
        whole(solve_ridge(replace(part, kernel=kernel, kernel_rows=rows))),
    )
    np.testing.assert_array_equal(alone["alpha_index"], shared["alpha_index"])
    np.testing.assert_allclose(alone["cv_r"], shared["cv_r"], atol=1e-7)


def test_kernel_scaled_alphas_do_not_care_for_the_scale_of_features():
    problem = make_problem([40, 30, 50], 80, 15, alpha_scale="kernel", alphas=np.logspace(-2, 1, 6))
    big = replace(problem, x_train=problem.x_train * 100, x_test=problem.x_test * 100)
    one, other = whole(solve_ridge(problem)), whole(solve_ridge(big))
    np.testing.assert_array_equal(one["alpha_index"], other["alpha_index"])
    np.testing.assert_allclose(one["alpha"] * 100, other["alpha"], rtol=1e-5)
    x = delay(problem.x_train.astype(np.float64), problem.train_lengths, problem.delays)
    np.testing.assert_allclose(
        problem.absolute_alphas(), problem.alphas * np.sqrt((x**2).sum() / len(x)), rtol=1e-6
    )


def test_edges_of_the_grid_are_reported():
    problem = make_problem([40, 30, 50], 80, 15)
    for alphas, edge in (([1e5, 1e6, 1e7], 0), ([1e-4, 1e-3, 1e-2], 2)):
        found = whole(solve_ridge(replace(problem, alphas=np.array(alphas))))
        assert (found["alpha_index"] == edge).any()
        np.testing.assert_array_equal(found["edge"], found["alpha_index"] - 1)
    assert not whole(solve_ridge(replace(problem, alphas=np.array([10.0]))))["edge"].any()


def test_form_follows_the_cost():
    assert plan_ridge(make_problem([40, 30, 50], 80, 15)).form == "dual"
    assert plan_ridge(make_problem([40, 30, 50], 10, 15)).form == "primal"
    wide = sizes_of(make_problem([40, 30, 50], 10, 15))._replace(n=28_000, d=7168, delays=4)
    assert choose_form(wide._replace(folds=((5600, 22_400),) * 5, voxels=90_000)) == "dual"
    assert choose_form(wide._replace(d=2000, folds=((5600, 22_400),) * 5, voxels=90_000)) == "primal"


@pytest.mark.parametrize("alphas", [[0.0, 1.0], [2.0, 1.0], []])
def test_grid_that_is_none(alphas):
    with pytest.raises(ValueError, match="alphas must be above 0"):
        make_problem([40, 30, 50], 8, 2, alphas=np.array(alphas))


def test_device_that_is_none():
    problem = make_problem([40, 30, 50], 8, 2, device="abacus")
    with pytest.raises(ValueError, match="use auto"):
        list(solve_ridge(problem))


def test_the_largest_fit_of_the_whole_dataset_has_room_on_a_node():
    """OPT-30B, every story of one subject: an alpha at a time in 24 GB, all at once in 64."""
    sizes = sizes_of(make_problem([40, 30, 50], 80, 15))._replace(
        n=28_000, d=7168, delays=4, m=600, voxels=95_000, alphas=15, folds=((5600, 22_400),) * 5
    )
    cpu = torch.device("cpu")
    for memory_gb, alphas in ((24, 1), (64, 15)):  # the solver's own share
        how = make_plan(sizes, memory_gb, "auto", "off", "float32", cpu)
        assert how.form == "dual"
        assert how.alphas == alphas
        assert how.bytes <= memory_gb * 1e9
    assert make_plan(sizes, 32, "auto", "on", "float32", cpu).bytes <= 32e9


def test_too_little_memory_is_reported_before_the_work():
    sizes = sizes_of(make_problem([40, 30, 50], 80, 15))._replace(
        n=20_000, d=20_000, folds=((4000, 16_000),) * 5
    )
    with pytest.raises(ValueError, match=r"4.0 GB are too few .* raise memory_gb, at least by"):
        make_plan(sizes, 4, "auto", "auto", "float32", torch.device("cpu"))
