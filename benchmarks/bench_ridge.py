"""The ridge solver compared with himalaya and bootstrap ridge, on the same stories, folds and alphas.

All choose an alpha per voxel and score the test set. They run in turn in one process, at every training size.
The other solvers share nothing between subjects, so one subject is timed and multiplied; ours is timed with
all subjects as one problem and, as in the workflow's jobs, with one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(Path(__file__).parent)]

import sections
from ridge_rivals import ALPHAS, DELAYS, FOLDS, Answer, Data, bootstrap_ridge, himalaya, simulate

from voxscale.ridge import plan_ridge, solve_ridge

STEPS = 5  # nested training sizes of a sweep
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


class Case(NamedTuple):
    """Sizes of a comparison."""

    name: str
    n: int
    d: int
    voxels: int
    subjects: int
    rounds: int


def ours(data: Data, n: int, subjects: int, screen: str) -> Answer:
    """The solver as a fit calls it; several subjects are rows of one problem."""
    blocks = list(solve_ridge(data.problem(n, subjects, screen)))
    predicted = np.concatenate([block.test_prediction for block in blocks])
    return Answer(np.concatenate([block.alpha_index for block in blocks]), data.score(predicted))


class Way(NamedTuple):
    """One way to fit: `subjects` of the case at once, from data and a number of training TRs."""

    name: str
    subjects: int
    run: Callable[[Data, int], Answer]


REFERENCE = "ours, float32, no screen"


def ways(subjects: int) -> list[Way]:
    """Every way, ours also with all subjects in one problem."""
    found = [
        Way("ours, screened", 1, lambda data, n: ours(data, n, 1, "on")),
        Way("ours, float32", 1, lambda data, n: ours(data, n, 1, "float32")),
        Way(REFERENCE, 1, lambda data, n: ours(data, n, 1, "off")),
        Way("himalaya, torch", 1, himalaya),
        Way("bootstrap ridge", 1, bootstrap_ridge),
    ]
    if subjects == 1:
        return found
    together = [
        Way(
            f"{way.name}, {subjects} subjects at once",
            subjects,
            partial(ours, subjects=subjects, screen=screen),
        )
        for way, screen in zip(found, ("on", "float32", "off"), strict=False)
    ]
    return together + found


def gemm_rate(dtype: str, size: int = 3000) -> float:
    """Best of three square products, in flops a second."""
    a, b = (torch.randn(size, size).to(DTYPES[dtype]) for _ in range(2))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        a @ b.T
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def useful_flops(data: Data, n: int, subjects: int) -> float:
    """Flops of scoring every alpha on every voxel once, the minimum of a fit without a screen."""
    problem = data.problem(n, subjects)
    p, dual = problem.n_features, plan_ridge(problem).form == "dual"
    rows = sum(len(held) * len(train) if dual else min(len(held), p) * p for train, held in problem.folds)
    return 2.0 * len(ALPHAS) * rows * problem.y_train.shape[0]


class Found(NamedTuple):
    """What one way took at one training size.

    Attributes:
        seconds: of each round.
        ideal: seconds that the useful flops would take at the float32 rate found just before and after.
        alpha, r: share of voxels with the alpha of plain float32, and largest difference in test r of those.
    """

    seconds: list[float]
    ideal: list[float]
    alpha: list[float]
    r: list[float]


Results = dict[Way, dict[int, Found]]


def compare(case: Case, rates: list[float]) -> Results:
    """Time every way at every training size; the float32 rate found after each is added to `rates`."""
    data = simulate(case.n, case.d, case.voxels, case.subjects)
    all_ways = ways(case.subjects)
    results: Results = {way: {} for way in all_ways}
    for n in [case.n * step // STEPS for step in range(1, STEPS + 1)]:
        for way in all_ways:
            results[way][n] = Found([], [], [], [])
        for _ in range(case.rounds):
            answers: dict[str, Answer] = {}
            for way in all_ways:
                start = time.perf_counter()
                answers[way.name] = way.run(data, n)
                seconds = time.perf_counter() - start
                rates.append(gemm_rate("float32"))
                found = results[way][n]
                found.seconds.append(seconds)
                found.ideal.append(useful_flops(data, n, way.subjects) / max(rates[-2:]))
                print(f"{case.name}, n = {n}, {way.name}: {seconds:.1f} s", flush=True)
            plain = answers[REFERENCE]
            for way in all_ways:
                # Of the first subject, whom every way fits.
                alpha, r = (values[: case.voxels] for values in answers[way.name])
                same = alpha == plain.alpha
                results[way][n].alpha.append(float(same.mean()))
                results[way][n].r.append(float(np.abs(r - plain.r)[same].max(initial=0)))
    return results


def spread(seconds: Sequence[float]) -> str:
    """Median, and the range of several rounds."""
    middle = f"{statistics.median(seconds):.3g}"
    return middle if len(seconds) == 1 else f"{middle} ({min(seconds):.3g} to {max(seconds):.3g})"


def rows(case: Case, results: Results, cell: bool) -> list[str]:
    """A Markdown table: the whole sweep, or one subject at the largest size."""
    sizes = [case.n] if cell else list(next(iter(results.values())))
    subjects = 1 if cell else case.subjects
    lines = [
        "| way | seconds | bootstrap ridge takes | himalaya takes | GEMM peak | same alpha | Δr |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    shown = {way: at for way, at in results.items() if way.subjects <= subjects}
    seconds = {
        way.name: [subjects / way.subjects * sum(at[n].seconds[i] for n in sizes) for i in range(case.rounds)]
        for way, at in shown.items()
    }
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for way, at in shown.items():
        taken = middle[way.name]
        ideal = subjects / way.subjects * sum(statistics.median(at[n].ideal) for n in sizes)
        ratios = " | ".join(
            f"{middle[rival] / taken:.1f}×" for rival in ("bootstrap ridge", "himalaya, torch")
        )
        same, r = min(min(at[n].alpha) for n in sizes), max(max(at[n].r) for n in sizes)
        took = f"{spread(seconds[way.name])} | {ratios} | {ideal / taken:.0%}"
        lines.append(f"| {way.name} | {took} | {same:.3%} | {r:.0e} |")
    return lines


def describe(case: Case, results: Results) -> list[str]:
    """The tables of one case."""
    sizes = ", ".join(map(str, next(iter(results.values()))))
    many = "1 subject" if case.subjects == 1 else f"{case.subjects} subjects"
    rounds = "once" if case.rounds == 1 else f"{case.rounds} rounds, median (range)"
    about = f"d = {case.d}, {case.voxels:,} voxels a subject, {many}; {rounds}"
    return [
        f"### {case.name}",
        "",
        f"Sweep over n = {sizes} training TRs; {about}.",
        "",
        *rows(case, results, cell=False),
        "",
        f"One cell, n = {case.n}:",
        "",
        *rows(case, results, cell=True),
        "",
    ]


ABOUT = f"""\
{len(ALPHAS)} alphas, {FOLDS} folds of whole stories, {len(DELAYS)} delays, simulated features and voxels.
himalaya runs in float32 (KernelRidgeCV in the dual case, RidgeCV in the primal); the bootstrap ridge, written
for this from its published description, in float64 with an SVD per fold. All start from the same arrays in
memory. **The others share nothing between subjects: they were timed on one subject, and their time for a
sweep is multiplied by the number of subjects.** So is *ours* without a number of subjects, as in the jobs.
*GEMM peak* is the share of the float32 rate, measured immediately before and after (the larger of the two),
reached by the flops of scoring every alpha on every voxel once; the screen needs fewer flops. *Ours,
float32* screens too, with no arithmetic below float32. *Same alpha* and *Δr* (largest difference in test r
where the alpha is the same) compare with our float32 without the screen: every alpha on every voxel."""


CASES = {
    "small": Case("Small, several rounds", 1500, 512, 2000, 1, 3),
    "dual": Case("Dual, full size", 3000, 1024, 20_000, 3, 1),
    "primal": Case("Primal, full size", 9000, 256, 6000, 1, 1),
}
QUICK = {"dual": Case("Dual", 500, 200, 300, 2, 2), "primal": Case("Primal", 1000, 32, 300, 1, 1)}


def part(case: Case) -> str:
    """The part of the section about one case, with the rates of the machine during the timings."""
    before = {name: gemm_rate(name) for name in DTYPES}
    rates = [before["float32"]]
    tables = describe(case, compare(case, rates))
    gemm = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in before.items())
    since = f"float32 {min(rates) / 1e9:.0f} to {max(rates) / 1e9:.0f} between the timings"
    when = f"{sections.machine()} GEMM in GFLOP/s: {gemm} at the start, {since}."
    return "\n".join([tables[0], "", when, *tables[1:]])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that it runs; writes nothing"
    )
    given = parser.parse_args(arguments)
    cases = QUICK if given.quick else {name: CASES[name] for name in given.case or CASES}
    tiny = simulate(250, 64, 64, 1)
    for way in ways(1):  # what is imported or set up once is not timed
        way.run(tiny, tiny.n)
    for name, case in cases.items():
        text = part(case)
        print(text)
        if not given.quick:
            sections.write("ridge", f"## Ridge\n\n{ABOUT}")
            sections.write(f"ridge, {name}", text)


if __name__ == "__main__":
    main()
