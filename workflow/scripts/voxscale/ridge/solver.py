"""Solve one training set for all voxels, in blocks, in bounded memory."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from voxscale.ridge.budget import CardTooSmall, RidgePlan, make_plan
from voxscale.ridge.cost import RidgeSizes
from voxscale.ridge.dual import Dual
from voxscale.ridge.forms import BlockInputs, Form
from voxscale.ridge.kernel import cross_kernel, delayed_kernel
from voxscale.ridge.operators import Operators, exact_scores, low_scores, make_operators, plain_scores
from voxscale.ridge.primal import Primal
from voxscale.ridge.problem import Block, Responses, RidgeProblem
from voxscale.ridge.screen import CALIBRATION, Margin, Screened, certify

FREE = 0.95  # of what a GPU has left: its allocator does not use every gap
SLURM_GPUS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE")  # set in jobs with GPUs
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def in_slurm() -> bool:
    """Whether this process belongs to a job of SLURM."""
    return "SLURM_JOB_ID" in os.environ


def find_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA where there is one, and where SLURM gave it to this job.

    Raises:
        ValueError: it is unknown or not there.
    """
    if name == "auto":
        # Not every cluster hides from a job the GPUs of others.
        given = not in_slurm() or any(map(os.environ.get, SLURM_GPUS))
        return torch.device("cuda" if given and torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{name} is not a device; use auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"this machine has no {name}; use auto or cpu")
    return device


def sizes_of(problem: RidgeProblem) -> RidgeSizes:
    """What decides how long a fit takes and how much memory."""
    return RidgeSizes(
        n=len(problem.x_train),
        d=problem.x_train.shape[1],
        delays=len(problem.delays),
        m=len(problem.x_test),
        voxels=problem.y_train.shape[0],
        alphas=len(problem.alphas),
        folds=tuple((len(fold.held), len(fold.train)) for fold in problem.folds),
        union=0 if problem.kernel is None else len(problem.kernel),
    )


def plan_ridge(problem: RidgeProblem, centred: bool = True) -> RidgePlan:
    """How `solve_ridge` will go about it, and the memory that takes; `predict_ridge` where not `centred`.

    With device `auto` a GPU of this machine that is too small is left alone. A job of a cluster, which asked
    for one, has too few cores to do without.

    Raises:
        ValueError: `memory_gb`, or what a GPU has left of it, is too little.
    """
    device = find_device(problem.device)
    how = sizes_of(problem), problem.memory_gb, problem.form, problem.screen, problem.arithmetic
    if device.type == "cuda":
        free = FREE * torch.cuda.mem_get_info(device)[0] / 1e9
        try:
            return make_plan(*how, device, centred, card_gb=free)
        except CardTooSmall as error:
            if problem.device != "auto" or in_slurm():
                raise
            print(f"NOTE: {error}; this fit runs on the CPU", file=sys.stderr)
    return make_plan(*how, torch.device("cpu"), centred)


def make_form(problem: RidgeProblem, how: RidgePlan, centred: bool = True) -> Form:
    """Everything that depends neither on the responses nor on alpha."""
    device, dtype = how.device, DTYPES[problem.arithmetic]
    x, x_test = (torch.as_tensor(values, device=device) for values in (problem.x_train, problem.x_test))
    train, test, delays = problem.train_lengths, problem.test_lengths, problem.delays
    if how.form == "primal":
        return Primal(x, train, x_test, test, delays, problem.folds, dtype, centred)
    if problem.kernel is None:
        k = delayed_kernel(x, train, delays)
    else:
        rows = torch.as_tensor(problem.kernel_rows, device=problem.kernel.device)
        k = problem.kernel.index_select(0, rows).index_select(1, rows).to(device)
    k_test = cross_kernel(x_test, test, x, train, delays)
    return Dual(k, k_test, problem.folds, dtype, centred, how.kernel_on_host)


class Reader:
    """Blocks of responses on the device, the next ones read while one is worked on.

    Args:
        ahead: how many blocks are read ahead, each by a thread.
    """

    def __init__(self, y: Responses, precision: str, device: torch.device, ahead: int = 1) -> None:
        self.y, self.precision, self.device, self.ahead = y, precision, device, ahead

    def read(self, voxels: slice) -> tuple[torch.Tensor, np.ndarray]:
        """(v, n) with 0 for unusable voxels, and (v,) which are usable."""
        return self._usable(self._load(voxels))

    def blocks(self, slices: Sequence[slice]) -> Iterator[tuple[slice, torch.Tensor, np.ndarray]]:
        """Each block with its responses and which are usable; the first ones are read from now on."""
        pool = ThreadPoolExecutor(self.ahead)
        return self._blocks(pool, slices, deque(pool.submit(self._load, s) for s in slices[: self.ahead]))

    def _blocks(
        self, pool: ThreadPoolExecutor, slices: Sequence[slice], coming: deque[Future[torch.Tensor]]
    ) -> Iterator[tuple[slice, torch.Tensor, np.ndarray]]:
        with pool:
            for i, block in enumerate(slices):
                values = coming.popleft().result()
                if i + self.ahead < len(slices):
                    coming.append(pool.submit(self._load, slices[i + self.ahead]))
                yield block, *self._usable(values)

    def _load(self, voxels: slice) -> torch.Tensor:
        """(v, n) in memory of the host, for a card in such as can be copied while it works."""
        values = self.y[voxels]
        if self.device.type == "cuda":
            return torch.from_numpy(np.require(values, self.precision, "CW")).pin_memory()
        return torch.from_numpy(np.array(values, self.precision))

    def _usable(self, values: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
        y = values.to(self.device, non_blocking=True)
        valid = torch.isfinite(y).all(1) & (y.amax(1) > y.amin(1))
        return y.masked_fill_(~valid[:, None], 0), valid.cpu().numpy()


def slices(n_voxels: int, size: int) -> list[slice]:
    """Consecutive blocks of voxels."""
    return [slice(start, min(start + size, n_voxels)) for start in range(0, n_voxels, size)]


def solve_ridge(problem: RidgeProblem) -> Iterator[Block]:
    """Choose each voxel's alpha by cross-validation and predict the test set from all training TRs.

    Yields:
        blocks of voxels, in order.

    Raises:
        ValueError: `memory_gb` is too little, or the device is not there.
    """
    if problem.y_train.shape[0]:
        fit = _Fit(problem)
        yield from fit.one_pass() if len(fit.groups) == 1 else fit.one_pass_each()


class _Fit:
    def __init__(self, problem: RidgeProblem) -> None:
        how = plan_ridge(problem)
        device = how.device
        y = problem.y_train[:] if how.keep_responses else problem.y_train
        self.reader = Reader(y, problem.arithmetic, device, how.ahead)
        self.alphas = problem.absolute_alphas()
        self.form = make_form(problem, how)
        self.slices = slices(y.shape[0], how.voxels)
        step = max(1, y.shape[0] // CALIBRATION)
        self.calibration = slice(0, min(y.shape[0], step * CALIBRATION), step)  # spread over all voxels
        n_alphas = len(self.alphas)
        self.groups = [range(a, min(a + how.alphas, n_alphas)) for a in range(0, n_alphas, how.alphas)]
        self.screened, self.margin = how.screen, Margin(n_alphas)
        lams = (self.alphas**2).tolist()
        self.operators = partial(
            make_operators, self.form, lams, dtype=DTYPES[problem.arithmetic], device=device
        )

    def _calibrate(self, operators: Operators) -> tuple[Screened, torch.Tensor]:
        inputs = self.form.inputs(self.reader.read(self.calibration)[0])
        return low_scores(operators, inputs), plain_scores(operators, inputs)

    def one_pass(self) -> Iterator[Block]:
        """All alphas' operators in memory: every block of voxels is read once."""
        blocks = self.reader.blocks(self.slices)
        operators = self.operators(self.groups[0], self.screened)
        if self.screened:
            self.margin.see(*self._calibrate(operators))
        for block, y, valid in blocks:
            inputs = self.form.inputs(y)
            if self.screened:
                low = low_scores(operators, inputs)
                scores = certify(low, self.margin, partial(exact_scores, operators, inputs))
            else:
                scores = plain_scores(operators, inputs)
            yield self._answer(block, inputs, valid, scores, operators.test)

    def one_pass_each(self) -> Iterator[Block]:
        """One group of alphas' operators in memory at a time: the voxels are read once for each group."""
        n_voxels = self.slices[-1].stop
        scores = torch.empty(n_voxels, len(self.alphas), dtype=DTYPES[self.reader.precision])
        rounding = torch.empty(n_voxels)
        tests: list[torch.Tensor] = []
        seen: list[tuple[Screened, torch.Tensor]] = []
        for group in self.groups:
            operators, part = self.operators(group, self.screened), slice(group.start, group.stop)
            tests += operators.test
            if self.screened:
                seen.append(self._calibrate(operators))
            for block, y, _ in self.reader.blocks(self.slices):
                inputs = self.form.inputs(y)
                if self.screened:
                    found = low_scores(operators, inputs)
                    scores[block, part], rounding[block] = found.scores.cpu(), found.rounding.cpu()
                else:
                    scores[block, part] = plain_scores(operators, inputs).cpu()
            del operators
        if self.screened:
            low = Screened(torch.cat([low.scores for low, _ in seen], 1), seen[0][0].rounding)
            self.margin.see(low, torch.cat([plain for _, plain in seen], 1))
            scores = certify(Screened(scores, rounding), self.margin, self._exact)
        for block, y, valid in self.reader.blocks(self.slices):
            yield self._answer(block, self.form.inputs(y), valid, scores[block].to(y.device), tests)

    def _exact(self, wanted: torch.Tensor, scores: torch.Tensor) -> None:
        for group in self.groups:
            these = slice(group.start, group.stop)
            if not wanted[:, these].any():
                continue
            operators = self.operators(group, False)
            for block, y, _ in self.reader.blocks(self.slices):
                part = scores[block, these].to(y.device)
                exact_scores(operators, self.form.inputs(y), wanted[block, these].to(y.device), part)
                scores[block, these] = part.cpu()

    def _answer(
        self,
        block: slice,
        inputs: BlockInputs,
        valid: np.ndarray,
        scores: torch.Tensor,
        tests: list[torch.Tensor],
    ) -> Block:
        cv_r, best = (values.cpu().numpy() for values in scores.max(1))
        prediction = predict_chosen(inputs.test, tests, best).cpu().numpy()
        return Block.of(block, valid, best, self.alphas, cv_r, prediction)


def predict_chosen(x: torch.Tensor, operators: list[torch.Tensor], chosen: np.ndarray) -> torch.Tensor:
    """(v, m): x (v, q) under the operator (m, q) of each voxel's chosen alpha; NaN where that is negative."""
    out = torch.full((len(x), len(operators[0])), torch.nan, dtype=x.dtype, device=x.device)
    for a in np.unique(chosen[chosen >= 0]):
        rows = torch.as_tensor(np.flatnonzero(chosen == a), device=x.device)
        out[rows] = x[rows] @ operators[a].T
    return out
