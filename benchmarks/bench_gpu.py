"""Ridge fits and features on one GPU: rates of the card, agreement with float64, seconds, a tuned rival.

Needs only the library, torch, transformers, h5py and himalaya, no network. Each line is printed as it is
found, and the JSON file is written again after each: a run that is cut short loses nothing. A part that fails
says why, and the next one begins.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

from gpu_features import speech, text
from gpu_record import Record, attempt, peak_gb, timed
from ridge_rivals import ALPHAS, DELAYS, FOLDS, TEST_TRS, himalaya_on, simulate

from voxscale.overlap import finish_behind
from voxscale.ridge import RidgeProblem, plan_ridge, solve_ridge, story_folds
from voxscale.statistics import block_sums, blocks_of, correlations, one_block_later, permutation_p
from voxscale.timeseries import join_scaled

STORY_TRS = 360


def rates(record: Record, device: torch.device, small: bool) -> None:
    """Products in each arithmetic, copies, and what the solver's set-up is made of."""
    from voxscale.ridge import card

    size = 512 if small else 8192
    for name in ("float64", "float32", "bfloat16", "float16"):
        a, b = (torch.randn(size, size, device=device).to(getattr(torch, name)) for _ in range(2))
        taken, _ = timed(device, lambda a=a, b=b: a @ b, 5)
        record.add("rates", f"product {name} {size}", tflops=2 * size**3 / taken / 1e12)
    a = torch.randn(size, size, device=device)
    b = torch.randn(size, size, device=device)
    left, right = card.left_halves(a), card.right_halves(b)
    taken, found = timed(device, lambda: card.halves_product(left, right), 5)
    exact = a.double() @ b.double().T
    record.add(
        "rates",
        f"product of bfloat16 halves {size}",
        tflops=2 * size**3 / taken / 1e12,
        error=float((found - exact).norm() / exact.norm()),
        error_of_float32=float((a @ b.T - exact).norm() / exact.norm()),
    )
    k = exact @ exact.T / size
    k.diagonal().add_(k.diagonal().mean() * 1e-3)
    taken, _ = timed(device, lambda: torch.cholesky_inverse(torch.linalg.cholesky(k)), 2)
    record.add("rates", f"library's inverse {size} float64", seconds=taken)

    def invert() -> torch.Tensor:
        c = k.clone()
        card.invert(c)
        return c

    for leaf in (512, 1024, 2048):
        card.LEAF = leaf
        taken, found = timed(device, invert, 2)
        wrong = float((found @ k - torch.eye(size, device=device, dtype=k.dtype)).norm() / size**0.5)
        record.add("rates", f"our inverse {size} float64, leaves of {leaf}", seconds=taken, error=wrong)
    card.LEAF = 1024


def fit(problem: RidgeProblem) -> tuple[np.ndarray, np.ndarray]:
    """Index of each voxel's alpha, and its test prediction."""
    blocks = list(solve_ridge(problem))
    return np.concatenate([b.alpha_index for b in blocks]), np.concatenate(
        [b.test_prediction for b in blocks]
    )


def on(problem: RidgeProblem, device: torch.device, **changes: Any) -> RidgeProblem:
    """The problem on the device, with room on the host."""
    return replace(problem, device=str(device), **{"memory_gb": 24.0, **changes})


WAYS = {
    "dual, halves": {"form": "dual", "screen": "off"},
    "dual, screened": {"form": "dual", "screen": "on"},
    "primal, halves": {"form": "primal", "screen": "off"},
    "auto": {"screen": "auto"},
}


def same(record: Record, device: torch.device, small: bool) -> None:
    """Every way against float64 on the same device."""
    for n, d, voxels in ((500, 96, 300),) if small else ((3000, 1024, 6000), (6000, 512, 6000)):
        data = simulate(n, d, voxels, 1)
        problem = data.problem(n, 1)
        truth = fit(on(problem, device, precision="float64", form="dual", screen="off"))
        for name, changes in WAYS.items():
            alpha, predicted = fit(on(problem, device, **changes))
            equal = alpha == truth[0]
            off = np.abs(predicted - truth[1])[equal].max() / truth[1].std()
            record.add(
                "same",
                f"n {n} p {d * 4} {name}",
                same_alpha=float(equal.mean()),
                prediction_off=float(off),
            )


def add_fit(
    record: Record,
    part: str,
    name: str,
    problem: RidgeProblem,
    device: torch.device,
    run: Callable[[RidgeProblem], dict[str, Any] | None],
    repeats: int = 1,
) -> None:
    """Seconds of one way to fit, with its plan and the memory of the card; `run` may give more to note."""
    ours = on(problem, device, **WAYS[name])
    how, voxels = plan_ridge(ours), problem.y_train.shape[0]
    work = 2.0 * len(ALPHAS) * voxels * sum(len(fold.held) * len(fold.train) for fold in problem.folds)
    peak_gb(device)
    taken, more = timed(device, lambda: run(ours), repeats)
    record.add(
        part,
        f"n {len(problem.x_train)} p {problem.n_features} V {voxels} {name}",
        seconds=taken,
        tflops_of_scoring=work / taken / 1e12,
        form=how.form,
        voxels=how.voxels,
        alphas=how.alphas,
        ahead=how.ahead,
        peak_gb=peak_gb(device),
        planned_gb=how.card_bytes / 1e9,
        **(more or {}),
    )


def size_9000(record: Record, device: torch.device, small: bool) -> None:
    """A middling cell, and the rival on it."""
    n, d, voxels = (600, 128, 600) if small else (9000, 1024, 50_000)
    data = simulate(n, d, voxels, 1)
    problem = data.problem(n, 1)
    for name, changes in WAYS.items():
        fit(replace(on(problem, device, **changes), y_train=problem.y_train[:512]))  # set-up is not timed
        add_fit(record, "fit", name, problem, device, lambda ours: fit(ours) and None, 2)
    alpha, _ = fit(on(problem, device))
    for batch, alphas in ((voxels, len(ALPHAS)), (10_000, 5)):
        if record.left < 60:
            return
        try:
            peak_gb(device)
            taken, answer = timed(device, lambda b=batch, a=alphas: himalaya_on(data, n, device, b, a), 1)
        except torch.OutOfMemoryError:
            record.add("rival", f"himalaya, {batch} targets, {alphas} alphas at a time", failed="memory")
            continue
        record.add(
            "rival",
            f"himalaya n {n} V {voxels}, {batch} targets, {alphas} alphas at a time",
            seconds=taken,
            same_alpha=float((answer.alpha == alpha).mean()),
            peak_gb=peak_gb(device),
        )


class Disk:
    """Responses as the workflow stores them: a story's voxels in chunks with checksums; scaled as read."""

    def __init__(self, path: Path, stories: Sequence[int], voxels: int) -> None:
        self.path, self.stories = path, list(stories)
        self.shape = voxels, sum(stories)

    @classmethod
    def write(cls, path: Path, stories: Sequence[int], data: np.ndarray) -> Disk:
        """From (voxels, TRs)."""
        start = 0
        with h5py.File(path, "w") as file:
            for i, trs in enumerate(stories):
                part, chunk = data[:, start : start + trs], (min(1024, len(data)), trs)
                file.create_dataset(f"story{i}", data=part, chunks=chunk, fletcher32=True)
                start += trs
        return cls(path, stories, len(data))

    def __getitem__(self, voxels: slice) -> np.ndarray:
        with h5py.File(self.path) as file:
            parts = [file[f"story{i}"][voxels] for i in range(len(self.stories))]
        return join_scaled(parts)[0]


def scored(problem: RidgeProblem, observed: np.ndarray) -> dict[str, float]:
    """Fit, and score as a job does: sums, r and permutations while the next block is fitted."""
    blocks = blocks_of({"test": TEST_TRS}, 10)
    spent = dict.fromkeys(("sums", "p", "later"), 0.0)
    mean = []

    def score(block: Any) -> None:
        y, predicted = observed[block.voxels], block.test_prediction
        a = time.perf_counter()
        mean.append(np.nanmean(correlations(block_sums(predicted, y, blocks), blocks)[0]))
        b = time.perf_counter()
        permutation_p(predicted, y, [TEST_TRS], 10, 0, 1000, 0)
        c = time.perf_counter()
        one_block_later(predicted, y, [TEST_TRS], 10)
        for name, seconds in zip(spent, (b - a, c - b, time.perf_counter() - c), strict=True):
            spent[name] += seconds

    finish_behind(solve_ridge(problem), score)
    return {**spent, "mean_r": float(np.mean(mean))}


def size_27000(record: Record, device: torch.device, small: bool) -> None:
    """The largest cell of the published study, end to end: responses in the page cache."""
    stories, d, voxels = ([150] * 5, 96, 500) if small else ([STORY_TRS] * 75, 4096, 95_000)
    n = sum(stories)
    # Made on the device: features with a falling spectrum, responses that follow some of them.
    torch.manual_seed(0)
    z = torch.randn(n + TEST_TRS, d, device=device)
    z = z + z.roll(1, 0) + 0.5 * z.roll(2, 0)
    x = z * torch.arange(1, d + 1, device=device) ** -0.5
    x = x @ torch.linalg.qr(torch.randn(d, d, device=device))[0]
    x = ((x - x.mean(0)) / x.std(0)).cpu().numpy()
    y = np.empty((voxels, n + TEST_TRS), np.float32)
    for start in range(0, voxels, 5000):
        count = len(y[start : start + 5000])
        signal = (z[:, :40].roll(3, 0) @ torch.randn(40, count, device=device)).T
        signal *= torch.rand(count, 1, device=device) ** 2 / signal.std(1, keepdim=True)
        y[start : start + 5000] = (signal + torch.randn_like(signal)).cpu().numpy()
    del z
    folder = Path(tempfile.mkdtemp())
    try:
        disk = Disk.write(folder / "responses.h5", stories, y[:, :n])
        record.add("full", "responses written", gigabytes=disk.path.stat().st_size / 1e9)
        taken, _ = timed(torch.device("cpu"), lambda: disk[0:4096])
        record.add("full", "4096 voxels read and scaled, one thread", seconds=taken)
        problem = RidgeProblem(
            x[:n],
            stories,
            x[n:],
            [TEST_TRS],
            disk,
            story_folds(stories, FOLDS),
            ALPHAS,
            delays=DELAYS,
            form="dual",
        )
        for name in ("dual, screened", "dual, halves"):
            if record.left > 35:
                add_fit(record, "full", name, problem, device, lambda ours: scored(ours, y[:, n:]))
    finally:
        for file in folder.iterdir():
            file.unlink()


def stages(record: Record, device: torch.device, small: bool) -> None:
    """Where the time of a dual fit goes: kernel, one alpha's operators, one block's scores."""
    from voxscale.ridge.solver import make_form

    stories, d = ([150] * 5, 96) if small else ([STORY_TRS] * 75, 4096)
    n, v = sum(stories), 256 if small else 4096
    x = np.random.default_rng(0).standard_normal((n + TEST_TRS, d), np.float32)
    y = np.random.default_rng(1).standard_normal((v, n), np.float32)
    problem = on(
        RidgeProblem(
            x[:n],
            stories,
            x[n:],
            [TEST_TRS],
            y,
            story_folds(stories, FOLDS),
            ALPHAS,
            delays=DELAYS,
            form="dual",
        ),
        device,
    )
    taken, form = timed(device, lambda: make_form(problem, plan_ridge(problem)))
    record.add("stages", f"n {n} kernel", seconds=taken)
    out = [torch.empty(shape, device=device) for shape in form.shapes]
    for lam in (1e3, 1e3, 1e7):
        taken, _ = timed(device, lambda lam=lam: form.operators(lam, out))
        record.add("stages", f"n {n} operators of one alpha", seconds=taken, lam=lam)
    from voxscale.ridge.forms import correlate

    inputs = form.inputs(torch.as_tensor(y, device=device))
    fold = inputs.fold(0)
    taken, _ = timed(device, lambda: correlate(fold, out[0][None]), 3)
    flops = 2.0 * v * out[0].numel()
    record.add(
        "stages", f"{v} voxels scored, one alpha, one fold", seconds=taken, tflops=flops / taken / 1e12
    )


PARTS: dict[str, Callable[[Record, torch.device, bool], None]] = {
    "rates": rates,
    "same": same,
    "fit": size_9000,
    "stages": stages,
    "full": size_27000,
    "text": text,
    "speech": speech,
}


def parts(names: str) -> Iterator[tuple[str, Callable[[Record, torch.device, bool], None]]]:
    """The chosen parts, in their order."""
    for name in names.split(","):
        yield name, PARTS[name]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="begin no part after so long")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path, help="file for what is found")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that all parts run")
    given = parser.parse_args(arguments)
    device, record = torch.device(given.device), Record(given.json, given.seconds)
    import transformers

    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    record.add("run", where, torch=torch.__version__, transformers=transformers.__version__)
    for name, part in parts(given.parts):
        begun = time.perf_counter()
        attempt(record, name, "the part", lambda part=part: part(record, device, given.small))
        record.add(name, "part done", seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    main()
