"""The low-precision screen never changes an answer, least of all where held-out sets are small."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ridge_problems import make_problem, whole

from voxscale.ridge import plan_ridge, solve_ridge
from voxscale.ridge.operators import exact_scores, low_scores, make_operators, plain_scores
from voxscale.ridge.screen import Margin, Screened, certify
from voxscale.ridge.solver import make_form

FIXED = {
    torch.int8: 5e-4,
    torch.bfloat16: 3e-4,
    torch.float32: 2e-4,
}  # with these no voxel of long stories gets another alpha


def scores_of(problem, form="dual", low=torch.int8):
    """Operators, inputs, screened and plain scores of all voxels at once."""
    problem = replace(problem, form=form)
    made = make_form(problem, plan_ridge(problem))
    lams = (problem.absolute_alphas() ** 2).tolist()
    operators = make_operators(made, lams, range(len(lams)), low, torch.float32, torch.device("cpu"))
    inputs = made.inputs(torch.from_numpy(problem.y_train))
    return operators, inputs, low_scores(operators, inputs), plain_scores(operators, inputs)


def small_held_out(form="dual", **changes):
    """Stories of 12 TRs: a fold holds out some two dozen."""
    d = 60 if form == "dual" else 12
    return make_problem([12] * 10, d, 6000, alphas=np.logspace(0, 2.5, 15), **changes)


def assert_same(found, plain):
    """The same answers but where two alphas tie to the last bits of float32."""
    tied = np.abs(found["cv_r"] - plain["cv_r"]) < 5e-7
    differ = found["alpha_index"] != plain["alpha_index"]
    assert tied.all()
    assert differ.sum() <= 2
    assert np.abs(found["test_prediction"] - plain["test_prediction"])[~differ].max() < 1e-5


@pytest.fixture(params=[torch.int8, torch.bfloat16, torch.float32], ids=str)
def low_dtype(request, monkeypatch):
    monkeypatch.setattr("voxscale.ridge.budget.low_dtype", lambda device: request.param)
    return request.param


@pytest.mark.usefixtures("low_dtype")
@pytest.mark.parametrize("form", ["dual", "primal"])
@pytest.mark.parametrize("seed", [0, 1])
def test_small_held_out_sets(form, seed):
    problem = replace(small_held_out(form, seed=seed), form=form)
    plain = whole(solve_ridge(replace(problem, screen="off")))
    assert_same(whole(solve_ridge(replace(problem, screen="on"))), plain)


@pytest.mark.usefixtures("low_dtype")
def test_responses_with_spikes():
    """Movement in the scanner: what int8 rounds off is ten times as large in these voxels, which are few."""
    problem = make_problem([60] * 6, 60, 5000, alphas=np.logspace(0, 2.5, 15))
    y, random = problem.y_train.copy(), np.random.default_rng(0)
    for voxel in range(7, 5000, 40):
        y[voxel, random.integers(0, 360, 2)] = 40 * random.choice([-1, 1], 2)
    problem = replace(problem, y_train=y)
    plain = whole(solve_ridge(replace(problem, screen="off")))
    assert_same(whole(solve_ridge(replace(problem, screen="on"))), plain)


def test_margins_widen_with_a_voxels_own_rounding(low_dtype):
    problem = make_problem([60] * 6, 60, 400, alphas=np.logspace(0, 2.5, 15))
    y = problem.y_train.copy()
    y[::2, 5] = 40
    _, _, low, plain = scores_of(replace(problem, y_train=y), low=low_dtype)
    calm = Screened(low.scores[1::2], low.rounding[1::2])
    margin = Margin(15)
    margin.see(calm, plain[1::2])
    error = low.scores - plain
    error = (error - error.gather(1, low.scores.argmax(1, keepdim=True))).abs()
    assert (error <= margin.width(low)).all()


@pytest.mark.parametrize("form", ["dual", "primal"])
def test_a_fixed_margin_fails_there(form, low_dtype, monkeypatch):
    """One that loses nothing where held-out sets are long."""
    monkeypatch.setattr(Margin, "width", lambda self, low: torch.full_like(low.scores, FIXED[low_dtype]))
    monkeypatch.setattr(Margin, "see", lambda self, low, exact: True)
    d = 200 if form == "dual" else 60
    for small, problem in (
        (False, make_problem([400] * 3, d, 800, alphas=np.logspace(0, 2.5, 15), form=form)),
        (True, replace(small_held_out(form, seed=1), form=form)),
    ):
        plain = whole(solve_ridge(replace(problem, screen="off")))
        screened = whole(solve_ridge(replace(problem, screen="on")))
        lost = plain["cv_r"] - screened["cv_r"]
        assert (lost.max() > 1e-5) == small


def test_a_margin_that_is_too_small_grows():
    operators, inputs, low, plain = scores_of(small_held_out())
    wanted = []

    def exact(these, scores):
        wanted.append(int(these.sum()))
        exact_scores(operators, inputs, these, scores)

    margin = Margin(15)
    margin.largest += 2e-5
    scores = certify(low, margin, exact)
    assert len(wanted) > 1
    assert margin.largest.max() > 1e-4
    loss = plain.max(1).values - plain.gather(1, scores.argmax(1, keepdim=True))[:, 0]
    assert loss.max() < 5e-7


def test_scores_that_are_filled_in_are_the_plain_ones():
    operators, inputs, low, plain = scores_of(make_problem([60, 50, 70], 120, 40))
    wanted = torch.rand(low.scores.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    scores = torch.full_like(low.scores, -5.0)
    exact_scores(operators, inputs, wanted, scores)
    torch.testing.assert_close(scores[wanted], plain[wanted], atol=2e-7, rtol=0)
    assert (scores[~wanted] == -5.0).all()


def test_only_a_share_is_scored_exactly():
    operators, inputs, low, plain = scores_of(
        make_problem([120] * 5, 200, 1000, alphas=np.logspace(0, 3, 15))
    )
    margin, counts = Margin(15), []
    margin.see(Screened(low.scores[::2], low.rounding[::2]), plain[::2])

    def exact(these, scores):
        counts.append(int(these.sum()))
        exact_scores(operators, inputs, these, scores)

    certify(low, margin, exact)
    assert sum(counts) < 0.4 * low.scores.numel()
