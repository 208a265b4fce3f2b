"""Simulated studies whose law is known: parts of `validate_intervals.py`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from simulated_study import chain, correlate, joint_points, nested, resampled, smooth

from voxscale.laws.fit import fit_group
from voxscale.laws.forms import FORMS, fit_form, implied_quantities
from voxscale.laws.likelihood import form_criterion, resampled_covariance
from voxscale.laws.points import Point
from voxscale.laws.pooling import pool
from voxscale.scores.significant import error_at_zero, training_p
from voxscale.statistics import (
    block_counts,
    block_sums,
    blocks_of,
    correlations,
    draw_weights,
    effective_blocks,
    false_discovery,
    interval,
    mean_scores,
    permutation_p,
    run_length,
)

SIZES = np.array([4.0, 8, 16, 32, 64])
X = np.geomspace(1e8, 1e11, 9)
TRUTH = {"log_linear": [-0.6, 0.09], "power": [2.5e-4, 0.3], "saturating": [0.45, 450.0, 0.4]}
BLOCKS = 30  # test blocks of 300 TRs
LEVEL = 0.9
Row = tuple[str, str, str, str]


def share(hits: list[bool] | np.ndarray) -> str:
    """Share of hits in percent with its standard error."""
    rate, n = np.mean(hits), len(hits)
    return f"{100 * rate:.1f} % ± {100 * np.sqrt(rate * (1 - rate) / n):.1f}"


def title(form: str) -> str:
    """A form's name in words."""
    return form.replace("_", "-")


def slopes(studies: int) -> Iterator[Row]:
    """Does the 90% interval of a law's slope, and of a point, hold the truth?"""
    line = FORMS["log_linear"]
    for trs in (100, 240, 1000):
        hit: dict[str, list[bool]] = {"slope of r": [], "slope of r²": [], "mean r of one model": []}
        for seed in range(studies):
            predicted, observed, factor = nested(SIZES, voxels=20, trs=trs, seed=seed)
            scores = resampled(predicted, observed, seed)
            r = (0.05 + 0.08 * np.log10(SIZES))[:, None] * factor
            for m, name in enumerate(("slope of r", "slope of r²")):
                truth = fit_form(line, SIZES, (r ** (m + 1)).mean(1)[None])[0][0, 1]
                slope = fit_form(line, SIZES, scores[:, :, m])[0][:, 1]
                lo, hi = interval(slope[0], slope[1:], LEVEL, -(-trs // 10))
                hit[name].append(bool(lo < truth < hi))
            point = scores[:, -1, 0]
            lo, hi = interval(point[0], point[1:], LEVEL, -(-trs // 10))
            hit["mean r of one model"].append(bool(lo < r[-1].mean() < hi))
        for name, hits in hit.items():
            yield f"90% interval of the {name}, {trs} test TRs", "holds the truth", "85–95 %", share(hits)


def scatter(studies: int) -> Iterator[Row]:
    """Does the interval hold for models drawn anew, which lie off the law by chance?"""
    designs = [(n, 1, slope, size) for n in (4, 6, 9, 15) for slope, size in ((0.0, 0.005), (0.03, 0.02))]
    designs += [(n, 1, 0.03, 0.0) for n in (4, 15)] + [(6, 2, 0.02, 0.005), (9, 3, 0.02, 0.005)]
    for n, groups, slope, size in designs:
        x, labels = np.geomspace(1e8, 1e11, n), np.arange(n) % groups
        held: dict[str, list[bool]] = {"": [], "test_": []}
        for seed in range(studies):
            luck = size * np.random.default_rng((n, seed)).normal(size=n)
            r = 0.25 + slope * np.log10(x / x.mean()) + luck + 0.05 * (labels - labels.mean())
            order = np.argsort(r)
            predicted, observed = chain(r[order][:, None] * np.linspace(0.5, 1.5, 8), 300, seed=seed)
            y = resampled(predicted, observed, seed, 150)[:, np.argsort(order), 0]
            apart = labels if groups > 1 else None
            rows, _ = fit_group(x, y, 1.0, ["log_linear"], LEVEL, BLOCKS, apart, over_models=True)
            (found,) = (row for row in rows if row["parameter"] == "b")
            for kind, hits in held.items():
                hits.append(bool(found[f"{kind}lo"] < slope < found[f"{kind}hi"]))
        families = f" in {groups} families, an intercept each" if groups > 1 else ""
        label = f"90% interval of a slope of {slope:g}, {n} models that scatter by {size:g}{families}"
        yield f"{label}, for models drawn anew", "holds the truth", "85–95 %", share(held[""])
        yield f"{label}, over test blocks", "holds the truth", "less: of these models", share(held["test_"])


def draws(studies: int) -> Iterator[Row]:
    """Does the interval of a mean over training draws hold the mean of all possible draws?"""
    rng = np.random.default_rng(0)
    for n in (3, 5):
        values = rng.normal(size=(studies * 5, n))
        for blocks in (12, 100):
            means = draw_weights(n, 500, 0, LEVEL, blocks) @ values.T
            lo, hi = interval(means[0], means[1:], LEVEL, blocks)
            label = f"90% interval of a mean over {n} training draws, of a test set of {blocks} blocks"
            yield label, "holds the truth", "85–95 %", share((lo < 0) & (hi > 0))


def likeliest(x: np.ndarray, y: np.ndarray, n_blocks: int = BLOCKS, ceiling: float = 1.0) -> str:
    """The form with the least AICc: y (resamples, points), row 0 the real one."""
    names = ("log_linear", "power", "saturating")
    covariance = resampled_covariance(y[1:], n_blocks)
    score = {name: form_criterion(FORMS[name], x, y[0], covariance, ceiling) for name in names}
    return min(score, key=score.get)


def forms(studies: int) -> Iterator[Row]:
    """Does the form that made the points win, if errors are independent?"""
    x = np.geomspace(1e8, 1e11, 9)
    truth = {"log_linear": [-0.3, 0.05], "power": [1e-3, 0.25], "saturating": [0.3, 1200.0, 0.45]}
    rng = np.random.default_rng(1)
    for name, parameters in truth.items():
        law = FORMS[name].value(x, np.array(parameters))
        wins = [likeliest(x, (law + 0.003 * rng.normal(size=len(x)))[None]) == name for _ in range(studies)]
        yield (
            f"{title(name)} points, 9 sizes, noise 0.003",
            "its form has the least AICc",
            "> 85 %",
            share(wins),
        )


def forms_of_studies(studies: int) -> Iterator[Row]:
    """The same from responses: scores of one test set, whose errors are correlated."""
    for trs, voxels in ((100, 20), (300, 40), (1000, 40), (3000, 40)):
        for name, parameters in TRUTH.items():
            law = partial(FORMS[name].value, parameters=np.array(parameters))
            best = []
            for seed in range(studies):
                predicted, observed, _ = nested(X, voxels, trs, law=law, seed=seed)
                best.append(likeliest(X, resampled(predicted, observed, seed)[:, :, 0], trs // 10))
            wins = np.array(best) == name
            next_best = max((form for form in TRUTH if form != name), key=best.count)
            other = f"{title(next_best)} {100 * best.count(next_best) / studies:.0f} %"
            yield (
                f"{title(name)} study, 9 sizes, {voxels} voxels, {trs} test TRs",
                "its form has the least AICc",
                f"> 85 % (next: {other})",
                share(wins),
            )


def parameters(studies: int) -> Iterator[Row]:
    """Do the intervals of each form's parameters, and of percent per decade, hold the truth?"""
    wanted = {
        "log_linear": ("percent_per_decade",),
        "power": ("alpha", "percent_per_decade"),
        "saturating": ("c", "alpha", "per_decade"),
        "learning_curve": ("c", "k"),
    }
    for trs in (300, 1000):
        for name, values in (TRUTH | {"learning_curve": [0.5, 5e9]}).items():
            form, values = FORMS[name], np.array(values)
            truth = dict(zip(form.parameters, values, strict=True))
            truth |= {
                key: float(rise[0] if base is None else 100 * rise[0] / base[0])
                for key, (rise, base) in implied_quantities(form, X, values[None]).items()
            }
            hit: dict[str, list[bool]] = {key: [] for key in wanted[name]}
            for seed in range(studies):
                predicted, observed, _ = nested(
                    X, voxels=20, trs=trs, law=partial(form.value, parameters=values), seed=seed
                )
                y = resampled(predicted, observed, seed)[:, :, 0]
                for row in fit_group(X, y, 1.0, [name], LEVEL, trs // 10)[0]:
                    if row["parameter"] in hit:
                        hit[row["parameter"]].append(row["lo"] <= truth[row["parameter"]] <= row["hi"])
            for key, hits in hit.items():
                label = f"90% interval of {key.replace('_', ' ')}, {title(name)} study, {trs} test TRs"
                yield label, "holds the truth", "85–95 %", share(hits)


def data_laws(studies: int) -> Iterator[Row]:
    """A law of data: test blocks and training draws are resampled together."""
    hours = [1, 2, 4, 8]
    for spread in (0.06, 0.2):
        hits = []
        for seed in range(studies):
            points = joint_points(
                lambda _, d: 0.1 + 0.08 * np.log10(d), [1.0], hours, spread=spread, seed=seed
            )
            y = np.stack([point.y["all"][:, 0] for point in points], 1)
            slope = fit_form(FORMS["log_linear"], np.array(hours, float), y)[0][:, 1]
            lo, hi = interval(slope[0], slope[1:], LEVEL, BLOCKS)
            hits.append(bool(lo < 0.08 < hi))
        label = f"90% interval of a slope over hours, 5 draws that vary by {100 * spread:.0f} %, 300 test TRs"
        yield label, "holds the truth", "85–95 %", share(hits)


def pooled_laws(studies: int) -> Iterator[Row]:
    """The mean of three subjects, tested on one story or each on another."""
    for label, trs in (("one test story", (300, 300, 300)), ("other test stories", (200, 300, 400))):
        hits = []
        for seed in range(studies):
            y = [
                resampled(*nested(SIZES, voxels=12, trs=n, seed=3 * seed + i)[:2], (seed, n))
                for i, n in enumerate(trs)
            ]
            slope = fit_form(FORMS["log_linear"], SIZES, np.mean(y, 0)[:, :, 0])[0][:, 1]
            lo, hi = interval(slope[0], slope[1:], LEVEL, min(trs) // 10)
            hits.append(bool(lo < 0.08 < hi))
        yield (
            f"90% interval of the slope pooled over three subjects, {label}",
            "holds the truth",
            "85–95 %",
            share(hits),
        )


def unequal_stories(studies: int) -> Iterator[Row]:
    """Three subjects of whom one has fewer stories: is the largest size, `all`, in their pooled law?"""
    everything = {"S1": 44, "S2": 64, "S3": 64}
    asked = {subject: {n: n for n in (4, 8, 16, 32)} | {"all": most} for subject, most in everything.items()}
    hits, sizes = [], []
    for seed in range(studies):
        points: dict[str, list[Point]] = {}
        for i, (subject, most) in enumerate(everything.items()):
            at = np.array([*SIZES[:-1], most])
            y = resampled(*nested(at, voxels=12, seed=3 * seed + i)[:2], seed)
            points[subject] = [
                Point(
                    {"model": "m", "layer": 1, "n_train": int(n), "wide": False, "family": "m"},
                    *(float(n), BLOCKS, {"all": y[:, j]}, {"all": np.ones(2)}, {"all": (12, 0)}),
                )
                for j, n in enumerate(at)
            ]
        pooled, _ = pool(points, asked)
        y, x = np.stack([point.y["all"][:, 0] for point in pooled], 1), np.array([p.x for p in pooled])
        slope = fit_form(FORMS["log_linear"], x, y)[0][:, 1]
        lo, hi = interval(slope[0], slope[1:], LEVEL, BLOCKS)
        hits.append(bool(lo < 0.08 < hi))
        sizes.append(len(x))
    label = "the slope pooled over three subjects of 44, 64 and 64 stories"
    yield f"90% interval of {label}", "holds the truth", "85–95 %", share(hits)
    yield f"points of {label}", "number", "5, `all` among them", f"{np.mean(sizes):.0f}"


def baselines(studies: int) -> Iterator[Row]:
    """Do run baselines of three standard deviations change a score over three test stories?"""
    lengths = {"first": 100, "second": 150, "third": 50}
    blocks = blocks_of(lengths, 10)
    error = []
    for seed in range(studies):
        predicted, observed = chain(np.full((1, 12), 0.376), 300, seed=seed)
        shift = np.repeat(3 * np.random.default_rng(seed).normal(size=3), list(lengths.values()))
        r, shifted = (
            correlations(block_sums(predicted[0], y, blocks), blocks) for y in (observed, observed + shift)
        )
        error.append([r.mean() - 0.376, abs(shifted - r).max()])
    bias, spread = np.mean(error, 0)[0], np.std(error, 0)[0] / np.sqrt(studies)
    label = "mean r of .376 over three test stories"
    yield label, "bias", "near 0", f"{bias:+.4f} ± {spread:.4f}"
    changed = max(change for _, change in error)
    yield f"{label}, run baselines of 3 sd", "largest change of r", "0", f"{changed:.1e}"


def artifact(studies: int) -> Iterator[Row]:
    """Where a story's start is like the rest, cutting it makes no difference."""
    blocks = blocks_of({"test": 300}, 10)
    others = 0, 120
    hits: dict[int, list[bool]] = {cut: [] for cut in others}
    for seed in range(studies):
        predicted, observed = chain(np.full((1, 12), 0.3), 300, seed=seed)
        counts = block_counts(len(blocks.n), 1000, seed)
        sums = block_sums(predicted[0], observed, blocks)
        y = {
            cut: mean_scores(
                [(slice(0, 12), sums)], blocks, counts * blocks.kept(cut), {"all": np.ones(12, bool)}
            )[:, 0, 0]
            for cut in (*others, 50)
        }
        for cut in others:
            units = effective_blocks(blocks.kept(cut), blocks.kept(50))
            difference = y[cut] - y[50]
            lo, hi = interval(difference[0], difference[1:], LEVEL, units, run_length(len(blocks.n)))
            hits[cut].append(bool(lo < 0 < hi))
    for cut in others:
        yield (
            f"90% interval of a score at a cut of {cut} TRs, less that at one of 50, where cuts do nothing",
            "holds 0",
            "85–95 %",
            share(hits[cut]),
        )


def significant_voxels(studies: int) -> Iterator[Row]:
    """Are scores over significant voxels too high, chosen in training or by p on the same test set?"""
    sizes, train, silent = np.array([4.0, 16, 64]), 800, 280
    r = np.linspace(0.05, 0.5, 120) * (0.4 + 0.33 * np.log10(sizes / 4))[:, None]
    r = np.concatenate([r, np.full((3, silent), 1e-3)], 1)
    for trs in (120, 300):
        blocks = blocks_of({"test": trs}, 10)
        found: dict[str, list[list[float]]] = {"in training": [], "on the test set": []}
        false = []
        for seed in range(max(studies // 4, 20)):
            predicted, observed = chain(r, trs, seed=seed)
            trained = chain(r, train, seed=seed + 10**6)
            error = error_at_zero(block_sums(predicted[-1], observed, blocks), blocks)
            cv_r = correlate(trained[0][-1], trained[1])
            p = {
                "in training": training_p(cv_r, train, error, trs, len(blocks.n), 15),
                "on the test set": permutation_p(predicted[-1], observed, [trs], 10, 0, 300, seed),
            }
            for how, values in p.items():
                chosen = false_discovery(values) <= 0.05
                if chosen.any():
                    seen = np.array([correlate(p[chosen], observed[chosen]).mean() for p in predicted])
                    known = r[:, chosen].mean(1)
                    found[how].append([*(seen - known)[[0, -1]], seen[-1] - seen[0], known[-1] - known[0]])
                if how == "in training":
                    false.append(chosen[-silent:].sum() / max(chosen.sum(), 1))
        for how, rows in found.items():
            first, last, rise, true_rise = np.mean(rows, 0)
            error = np.std(rows, 0) / np.sqrt(len(rows))
            wanted = "near 0" if how == "in training" else "above 0: selection"
            label = f"significant voxels of the largest of 3 models, chosen {how}, {trs} test TRs"
            for which, bias, wide in (("smallest", first, error[0]), ("largest", last, error[1])):
                yield label, f"mean r above the truth, {which} model", wanted, f"{bias:+.4f} ± {wide:.4f}"
            yield label, "rise from smallest to largest", f"{true_rise:.4f}", f"{rise:.4f} ± {error[2]:.4f}"
        label = f"significant voxels, chosen in training, {trs} test TRs"
        yield (
            f"significant voxels, chosen in training, {trs} test TRs",
            "silent among them",
            "at most 5 %",
            f"{100 * np.mean(false):.1f} %",
        )


def chosen_by(studies: int) -> Iterator[Row]:
    """Two models that are as good but predict partly other voxels: which does a set of voxels favour?"""
    train, trs = 800, 300
    blocks = blocks_of({"test": trs}, 10)
    found: dict[str, list[float]] = {"the first model": [], "any of the two": []}
    for seed in range(max(studies // 2, 20)):
        rng = np.random.default_rng(seed)
        signal, one, other, noise = smooth(rng.normal(size=(4, 240, train + trs + 50)))[..., : train + trs]
        part = np.repeat(np.arange(4), 60)[:, None]  # both predict, the first only, the second only, neither
        y = np.where(part < 3, 0.5, 0.0) * signal + noise
        models = np.where(part < 2, signal, one), np.where(part % 2 == 0, signal, other)
        p = []
        for x in models:
            error = error_at_zero(block_sums(x[:, train:], y[:, train:], blocks), blocks)
            cv_r = correlate(x[:, :train], y[:, :train])
            p.append(training_p(cv_r, train, error, trs, len(blocks.n), 15))
        r = [correlate(x[:, train:], y[:, train:]) for x in models]
        for who, values in zip(found, (p[0], np.minimum(2 * np.fmin(*p), 1)), strict=True):
            chosen = false_discovery(values) <= 0.05
            found[who].append(r[0][chosen].mean() - r[1][chosen].mean())
    for who, wanted in zip(found, ("above 0: it favours itself", "near 0"), strict=True):
        error = np.std(found[who]) / np.sqrt(len(found[who]))
        label = f"two equally good models of partly other voxels, chosen in training by {who}"
        yield (
            label,
            "mean r of the first less the second",
            wanted,
            f"{np.mean(found[who]):+.4f} ± {error:.4f}",
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
            slope = fit_form(FORMS["log_linear"], x, y, families=labels)[0][:, 1]
            lo, hi = interval(slope[0], slope[1:], LEVEL, 30)
            hit[label].append(bool(lo < 0.04 < hi))
    for (label, hits), wanted in zip(hit.items(), ("85–95 %", "far less: Simpson's paradox"), strict=True):
        yield f"90% interval of the slope in two families, {label}", "holds the truth", wanted, share(hits)
