"""What a GPU does otherwise, run on the CPU: the same answers, and a plan for cards of every size."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.ridge_problems import make_problem, whole
from voxscale.ridge import RidgeSizes, budget, card, dual, forms, make_plan, solve_ridge, solver

PUBLISHED = {"middling": (9000, 1024, 50_000), "largest": (27_000, 4096, 95_000)}


def positive(n: int) -> torch.Tensor:
    x = torch.randn(n, 2 * n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x @ x.T


@pytest.mark.parametrize("n", [1, 8, 9, 50, 101])
def test_an_inverse_by_halves_is_the_librarys(n, monkeypatch):
    monkeypatch.setattr(card, "LEAF", 8)
    a = positive(n)
    found = a.clone()
    assert int(card.invert(found)) == 0
    torch.testing.assert_close(found, torch.linalg.inv(a), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("row", [0, 30])
def test_a_matrix_that_is_not_positive_is_noticed(row, monkeypatch):
    monkeypatch.setattr(card, "LEAF", 8)
    a = positive(40)
    a[row, row] = -1
    assert int(card.invert(a)) > 0


def test_a_product_of_halves_is_that_of_float32_to_a_hundred_thousandth():
    x, operator = torch.randn(2, 30, 400, generator=torch.Generator().manual_seed(0)).unbind()
    exact = x.double() @ operator.double().T
    found = card.halves_product(card.left_halves(x), card.right_halves(operator))
    assert found.dtype == torch.float32
    assert (found - exact).norm() < 1e-5 * exact.norm()
    one_half = x.to(torch.bfloat16).double() @ operator.to(torch.bfloat16).double().T
    assert (one_half - exact).norm() > 1e-3 * exact.norm()


@pytest.mark.parametrize("form", ["dual", "primal"])
def test_a_fit_by_the_cards_arithmetic_has_the_alphas_and_predictions_of_float64(form, monkeypatch):
    problem = {"lengths": [60] * 5, "d": 40, "n_voxels": 80, "alphas": np.logspace(0, 3, 8), "form": form}
    exact = whole(solve_ridge(make_problem(**problem, precision="float64")))
    monkeypatch.setattr(card, "LEAF", 32)
    monkeypatch.setattr(forms, "multiplies_halves", lambda x: x.dtype == torch.float32)
    monkeypatch.setattr(dual, "inverse_of", lambda a: (a, card.invert(a)))
    found = whole(solve_ridge(make_problem(**problem, precision="float32")))
    np.testing.assert_array_equal(found["alpha_index"], exact["alpha_index"])
    np.testing.assert_allclose(found["cv_r"], exact["cv_r"], atol=2e-5)
    np.testing.assert_allclose(found["test_prediction"], exact["test_prediction"], atol=1e-5)


@pytest.mark.parametrize("size", PUBLISHED)
@pytest.mark.parametrize("card_gb", [16, 24, 40, 80, 141])
def test_cards_of_every_size_get_a_plan_that_fits(size, card_gb, monkeypatch):
    monkeypatch.setattr(budget, "has_fast_float64", lambda device: True)
    n, d, voxels = PUBLISHED[size]
    folds = ((n // 5, n - n // 5),) * 5
    sizes = RidgeSizes(n=n, d=d, delays=4, m=300, voxels=voxels, alphas=15, folds=folds)
    how = {"precision": "float32", "device": torch.device("cuda"), "low": torch.bfloat16, "card_gb": card_gb}
    plan = make_plan(sizes, 16, "auto", "auto", **how)
    assert 0 < plan.card_bytes <= card_gb * 1e9
    assert plan.bytes <= 16e9
    # The card's memory and the host's are two numbers; only the smallest card needs the host for a kernel.
    if (size, card_gb) == ("largest", 16):
        assert plan.kernel_on_host
        with pytest.raises(ValueError, match=r"^4\.0 GB are too few .*; raise memory_gb, at least by 8\."):
            make_plan(sizes, 4, "auto", "auto", **how)
    else:
        little = make_plan(sizes, 4, "auto", "auto", **how)
        assert little.bytes <= 4e9 < little.card_bytes


def test_a_card_that_is_too_small_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(budget, "has_fast_float64", lambda device: True)
    n, d, voxels = PUBLISHED["largest"]
    sizes = RidgeSizes(n, d, 4, 300, voxels, 15, ((n // 5, n - n // 5),) * 5)
    device = torch.device("cuda")
    with pytest.raises(ValueError, match=r"^a GPU with 8\.0 GB left is too small .*; use a larger one"):
        make_plan(sizes, 64, "auto", "auto", "float32", device, low=torch.bfloat16, card_gb=8)


def test_a_kernel_kept_on_the_host_gives_the_same_fit(monkeypatch):
    problem = make_problem(lengths=[60] * 5, d=40, n_voxels=80, form="dual")
    whole_card = whole(solve_ridge(problem))
    plan = solver.make_plan
    monkeypatch.setattr(solver, "make_plan", lambda *a, **k: replace(plan(*a, **k), kernel_on_host=True))
    small_card = whole(solve_ridge(problem))
    for name, values in whole_card.items():
        np.testing.assert_array_equal(small_card[name], values)


def test_a_card_with_little_float64_takes_the_form_that_needs_less_of_it(monkeypatch):
    sizes = RidgeSizes(n=9000, d=128, delays=4, m=300, voxels=20_000, alphas=15, folds=((1800, 7200),) * 5)
    for fast, form in ((True, "primal"), (False, "primal")):
        monkeypatch.setattr(budget, "has_fast_float64", lambda device, fast=fast: fast)
        assert budget.choose_form(sizes, "auto", torch.device("cuda")) == form
    assert budget.seconds_on_card("dual", sizes, False) > 5 * budget.seconds_on_card("dual", sizes, True)


def test_auto_takes_no_gpu_that_slurm_did_not_give_to_the_job(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("SLURM_JOB_ID", *solver.SLURM_GPUS):
        monkeypatch.delenv(name, raising=False)
    assert solver.find_device("auto").type == "cuda"
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert solver.find_device("auto").type == "cpu"
    assert solver.find_device("cuda").type == "cuda"
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    assert solver.find_device("auto").type == "cuda"


def test_a_gpu_of_this_machine_that_is_too_small_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000_000, 8_000_000_000))
    monkeypatch.setattr(budget, "has_fast_float64", lambda device: True)
    monkeypatch.setattr(budget, "low_dtype", lambda device: torch.bfloat16)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    problem = make_problem(lengths=[60] * 5, d=40, n_voxels=80, device="auto")
    assert solver.plan_ridge(problem).device.type == "cpu"
    assert "a GPU with 0.0 GB left is too small" in capsys.readouterr().err
    assert len(whole(solve_ridge(problem))["cv_r"]) == 80
    for device, job in (("cuda", {}), ("auto", {"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "0"})):
        for name, value in job.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ValueError, match="is too small"):
            solver.plan_ridge(replace(problem, device=device))
