"""Do the analyses tell the truth? Many simulated studies whose truth is known; writes docs/validation.md.

    python benchmarks/validate_intervals.py [--studies 200]

A study here starts from predictions and responses: nested sizes whose scores lie on a stated law,
haemodynamic autocorrelation in signal and noise, noise shared between voxels. That of layers starts from
features.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests")]

from simulated_study import chain, joint_points, layer_scores, nested, resampled, smooth  # noqa: E402

from voxscale import ceiling  # noqa: E402
from voxscale.bootstrap import draw_weights, interval  # noqa: E402
from voxscale.forms import FORMS, aicc, fit  # noqa: E402
from voxscale.joint import joint_rows  # noqa: E402
from voxscale.significance import false_discovery, permutation_p  # noqa: E402
from voxscale.stacking import TestRows, stack_block  # noqa: E402

SIZES = np.array([4.0, 8, 16, 32, 64])
LEVEL = 0.9
Row = tuple[str, str, str, str]


def share(hits: list[bool] | np.ndarray) -> str:
    """Share of hits in percent with its standard error."""
    rate, n = np.mean(hits), len(hits)
    return f"{100 * rate:.1f} % ± {100 * np.sqrt(rate * (1 - rate) / n):.1f}"


def slopes(studies: int) -> Iterator[Row]:
    """Does the 90% interval of a law's slope, and of a point, hold the truth?"""
    line = FORMS["log_linear"]
    for trs in (120, 240, 1000):
        hit: dict[str, list[bool]] = {"slope of r": [], "slope of r²": [], "mean r of one model": []}
        for seed in range(studies):
            predicted, observed, factor = nested(SIZES, voxels=20, trs=trs, seed=seed)
            scores = resampled(predicted, observed, seed)
            r = (0.05 + 0.08 * np.log10(SIZES))[:, None] * factor
            for m, name in enumerate(("slope of r", "slope of r²")):
                truth = fit(line, SIZES, (r ** (m + 1)).mean(1)[None])[0][0, 1]
                slope = fit(line, SIZES, scores[:, :, m])[0][:, 1]
                lo, hi = interval(slope[0], slope[1:], LEVEL, -(-trs // 10))
                hit[name].append(bool(lo < truth < hi))
            point = scores[:, -1, 0]
            lo, hi = interval(point[0], point[1:], LEVEL, -(-trs // 10))
            hit["mean r of one model"].append(bool(lo < r[-1].mean() < hi))
        for name, hits in hit.items():
            yield f"90% interval of the {name}, {trs} test TRs", "holds the truth", "85–95 %", share(hits)


def draws(studies: int) -> Iterator[Row]:
    """Does the interval of a mean over training draws hold the mean of all possible draws?"""
    rng = np.random.default_rng(0)
    for n in (3, 5):
        values = rng.normal(size=(studies * 5, n))
        means = draw_weights(n, 500, 0) @ values.T
        lo, hi = interval(means[0], means[1:], LEVEL, 10**6)
        label = f"90% interval of a mean over {n} training draws"
        yield label, "holds the truth", "85–95 %", share((lo < 0) & (hi > 0))


def forms(studies: int) -> Iterator[Row]:
    """Does the form that made the points win?"""
    x = np.geomspace(1e8, 1e11, 9)
    truth = {"log_linear": [-0.3, 0.05], "power": [1e-3, 0.25], "saturating": [0.3, 1200.0, 0.45]}
    rng = np.random.default_rng(1)
    for name, parameters in truth.items():
        wins = []
        for _ in range(studies):
            y = FORMS[name].value(x, np.array(parameters)) + 0.003 * rng.normal(size=len(x))
            score = {
                f: aicc(fit(FORMS[f], x, y[None])[1][0], len(x), len(FORMS[f].parameters)) for f in truth
            }
            wins.append(min(score, key=score.get) == name)
        yield (
            f"{name.replace('_', '-')} points, 9 sizes, noise 0.003",
            "its form has the least AICc",
            "> 85 %",
            share(wins),
        )


def forms_of_studies(studies: int) -> Iterator[Row]:
    """The same from responses: scores of one test set, which err together."""
    x = np.geomspace(1e8, 1e11, 9)
    truth = {"log_linear": [-0.6, 0.09], "power": [2.5e-4, 0.3], "saturating": [0.45, 450.0, 0.4]}
    for trs in (300, 1000):
        for name, parameters in truth.items():
            best, law = [], partial(FORMS[name].value, parameters=np.array(parameters))
            for seed in range(studies):
                predicted, observed, _ = nested(x, trs=trs, law=law, seed=seed)
                y = resampled(predicted, observed, seed, draws=1)[:1, :, 0]
                score = {f: aicc(fit(FORMS[f], x, y)[1][0], len(x), len(FORMS[f].parameters)) for f in truth}
                best.append(min(score, key=score.get))
            wins = np.array(best) == name
            other = max(best.count(f) for f in truth if f != name) / studies
            yield (
                f"{name.replace('_', '-')} study, 9 sizes, 40 voxels, {trs} test TRs",
                "its form has the least AICc",
                f"more often than another ({100 * other:.0f} %)",
                share(wins),
            )


def families(studies: int) -> Iterator[Row]:
    """Is the slope within families found where families differ in level against their size?"""
    x = np.array([1, 3, 10, 10, 30, 100]) * 1e8
    names = np.array(["a"] * 3 + ["b"] * 3)
    targets = 0.2 + 0.04 * np.log10(x / 1e8) + np.where(names == "a", 0.05, -0.05)
    order = np.argsort(targets)
    hit: dict[str, list[bool]] = {"an intercept per family": [], "one intercept for all": []}
    for seed in range(studies):
        r = targets[order][:, None] * np.linspace(0.5, 1.5, 20)
        y = resampled(*chain(r, 300, seed=seed), seed)[:, np.argsort(order), 0]
        for label, labels in zip(hit, (names, None), strict=True):
            slope = fit(FORMS["log_linear"], x, y, families=labels)[0][:, 1]
            lo, hi = interval(slope[0], slope[1:], LEVEL, 30)
            hit[label].append(bool(lo < 0.04 < hi))
    for (label, hits), wanted in zip(hit.items(), ("85–95 %", "far less: Simpson's paradox"), strict=True):
        yield f"90% interval of the slope in two families, {label}", "holds the truth", wanted, share(hits)


SURFACES = {
    "bilinear": lambda n, d: (
        0.08 + 0.05 * np.log10(n / 1e8) + 0.06 * np.log10(d) + 0.01 * np.log10(n / 1e8) * np.log10(d)
    ),
    "curve": lambda n, d: (0.16 + 0.06 * np.log10(n / 1e8)) * d / (d + 2),
    "powers": lambda n, d: 0.4 - 0.14 * (n / 1e8) ** -0.35 - 0.1 * d**-0.6,
}


def what_next(studies: int) -> Iterator[Row]:
    """Does the interval of a next step's gain hold what the step would bring?"""
    sizes, hours = [1e8, 1e9, 1e10], [1, 2, 4, 8]
    steps = {"one more hour": (1e10, 9), "twice the hours": (1e10, 16), "twice the parameters": (2e10, 8)}
    for name, truth in SURFACES.items():
        hit: dict[str, list[bool]] = {}
        for seed in range(studies):
            points = joint_points(truth, sizes, hours, seed=seed, draws=100)
            for row in joint_rows("study", points, "all", 0, LEVEL, 30)[2]:
                if row["unit"] == "metric":
                    step = row["option"].split(" (")[0]
                    gain = truth(*steps.get(step, (1e11, 8))) - truth(1e10, 8)
                    hit.setdefault(step, []).append(bool(row["lo"] < gain < row["hi"]))
        for step, hits in hit.items():
            yield f"90% interval of the gain of {step}, {name} truth", "holds it", "85–95 %", share(hits)


def layers(studies: int) -> Iterator[Row]:
    """Is the best layer found inside training, and is its test score what other test data give?"""
    found = [layer_scores(seed) for seed in range(studies)]
    best = np.array([one.best for one in found])
    label = "9 layers, the sixth the best, 8 voxels, 240 training and 120 test TRs"
    chosen = np.array([one.cv.argmax() for one in found])
    yield label, "chosen by cross-validation: off by at most one", "> 85 %", share(np.abs(chosen - best) <= 1)
    for how, rank, wanted in (
        ("by cross-validation", "cv", "0 within 3 standard errors"),
        ("on the test set", "test", "above 0: optimism"),
    ):
        picks = [getattr(one, rank).argmax() for one in found]
        excess = np.array([one.test[i] - one.fresh[i] for one, i in zip(found, picks, strict=True)])
        error = excess.std() / np.sqrt(studies)
        yield (
            label,
            f"r of the layer chosen {how}, above that in fresh data",
            wanted,
            (f"{excess.mean():+.4f} ± {error:.4f}"),
        )


def ceilings(studies: int) -> Iterator[Row]:
    """Is the signal power unbiased, and does its interval hold it?"""
    rng = np.random.default_rng(2)
    voxels = studies * 20
    for repeats in (5, 10):
        for power in (0.0, 0.05, 0.5):
            signal = smooth(rng.normal(size=(voxels, 250)))
            signal = (signal - signal.mean(1, keepdims=True)) / signal.std(1, keepdims=True) * np.sqrt(power)
            noise = smooth(rng.normal(size=(repeats, voxels, 250)))
            found = ceiling.ceiling_columns([signal + noise], LEVEL)
            label = f"signal power {power:g} of noise power 1, {repeats} repeats"
            bias, error = found["signal_power"].mean() - power, found["signal_power"].std() / np.sqrt(voxels)
            yield label, "bias", "0 within 3 standard errors", f"{bias:+.5f} ± {error:.5f}"
            hits = (found["signal_power_lo"] <= power) & (power <= found["signal_power_hi"])
            yield label, "interval holds it", "85–95 %", share(hits)
            if power:
                truth = np.sqrt(power / (power + 1 / repeats))
                hits = (found["ccmax_lo"] <= truth) & (truth <= found["ccmax_hi"])
                yield label, "interval of CCmax holds it", "85–95 %", share(hits)
            else:
                yield label, "voxels called reliable", "about 5 %", share(found["reliable"])


def stacks(studies: int) -> Iterator[Row]:
    """Are weights, unique and shared variance those that made the responses?"""
    rng = np.random.default_rng(3)
    voxels, train, test = max(studies, 50), 2000, 400
    own, other, both, noise = rng.normal(size=(4, voxels, train + test))
    y = own + 0.5 * other + 0.8 * both + 1.5 * noise
    members = np.array([own + 0.8 * both, 0.5 * other + 0.8 * both])
    rows = TestRows.of({"test": test}, 0, 10, 300, 0, LEVEL)
    columns, _ = stack_block(
        members[..., :train], members[..., train:], y[:, :train], y[:, train:], ["language", "speech"], rows
    )
    total = 1 + 0.25 + 0.64 + 2.25
    # The best sum of the two predictions, from their covariances.
    gram = np.array([[1.64, 0.64], [0.64, 0.89]])
    target = np.array([1.64, 0.89])
    joint = target @ np.linalg.solve(gram, target) / total
    for name, truth in (
        ("unique_language", joint - 0.89 / total),
        ("unique_speech", joint - 1.64 / total),
        ("shared", (1.64 + 0.89) / total - joint),
    ):
        found = columns[name]
        error = found.std() / np.sqrt(voxels)
        yield (
            f"{name.replace('_', ' ')} r², {test} test TRs",
            "mean",
            f"{truth:.3f}",
            f"{found.mean():.3f} ± {error:.3f}",
        )
        if f"{name}_lo" in columns:
            hits = (columns[f"{name}_lo"] < truth) & (truth < columns[f"{name}_hi"])
            yield f"{name.replace('_', ' ')} r²", "90% interval holds it", "85–95 %", share(hits)
    truth = np.where(np.arange(voxels) < voxels // 2, 0.7, 0.2)
    y = truth[:, None] * own + (1 - truth)[:, None] * other + 0.5 * noise
    members = np.array([own, other])
    _, weights = stack_block(
        members[..., :train], members[..., train:], y[:, :train], y[:, train:], ["language", "speech"], rows
    )
    error = np.sqrt(((weights[:, 0] - truth) ** 2).mean())
    yield (
        f"stacking weights 0.7 and 0.2, {train} training TRs",
        "root mean squared error",
        "< 0.03",
        f"{error:.3f}",
    )


def significance(studies: int) -> Iterator[Row]:
    """Is the false-positive rate the nominal one, under autocorrelated noise?"""
    rng = np.random.default_rng(4)
    for trs in (120, 240):
        x, y = smooth(rng.normal(size=(2, studies * 30, trs + 50)))
        p = permutation_p(x, y, [trs], 10, 0, 500)
        yield f"null voxels with haemodynamic noise, {trs} test TRs", "p ≤ 0.05", "5 %", share(p <= 0.05)
    found = []
    for _ in range(max(studies // 4, 20)):
        x, noise = smooth(rng.normal(size=(2, 300, 290)))
        y = noise + np.where(np.arange(300) < 90, 0.5, 0.0)[:, None] * x
        called = false_discovery(permutation_p(x, y, [240], 10, 0, 500)) <= 0.05
        found.append(called[90:].sum() / max(called.sum(), 1))
    error = np.std(found) / np.sqrt(len(found))
    text = f"{100 * np.mean(found):.1f} % ± {100 * error:.1f}"
    yield "300 voxels, 90 with signal", "false among the called at rate 5 %", "at most about 5 %", text


PARTS = {
    "Laws": (slopes, draws, forms, forms_of_studies, families),
    "What next": (what_next,),
    "Layers": (layers,),
    "Noise ceiling": (ceilings,),
    "Stacking": (stacks,),
    "Significance": (significance,),
}
HEAD = """# Validation on simulated studies

What `benchmarks/validate_intervals.py` found: every analysis run on studies whose truth is known ({studies}
studies for each law, more voxels elsewhere; seeded). The same checks run small in `make test`; the phantom
brain checks the whole pipeline (`results/validation.json`). ± is one standard error of the simulation.
"""


def main() -> None:
    """Run all parts and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "validation.md")
    given = parser.parse_args()
    lines = [HEAD.format(studies=given.studies)]
    for title, parts in PARTS.items():
        lines += [f"## {title}", "", "| simulated | measured | should be | is |", "| --- | --- | --- | --- |"]
        for part in parts:
            for row in part(given.studies):
                print(" | ".join(row), flush=True)
                lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    given.output.parent.mkdir(exist_ok=True)
    given.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
