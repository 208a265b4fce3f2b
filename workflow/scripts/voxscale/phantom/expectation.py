"""True scores of the nested family, whose model of width d is the first d dimensions of the latent.

Three cases, each closer to the study:
    population   endless training and endless test: ceiling times sqrt(S(d)), a straight line in log10 d
    test         endless training, but the stimuli of the test story
    trained      ridge on the stimuli and noise of the training stories, and the stimuli of the test story
All are expectations over the noise; no response is used. Shapes: N training TRs, M scored test TRs,
V voxels, K delays.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from voxscale.phantom import brain, latents
from voxscale.phantom.brain import PhantomSubject

WIDTHS = (1, 2, 4, 8, 16, 32)
# Ridge penalties relative to the kernel's mean diagonal times N; wide enough for every signal power here.
PENALTIES = np.logspace(-4, 0.5, 10)


class _Fit(NamedTuple):
    """The ridge of one width and penalty as a linear map from training responses to test predictions."""

    predict: np.ndarray  # (M, N), centred over test TRs
    noise: np.ndarray  # (lags,) weight of the noise's autocovariance at each lag in a prediction's variance


class RidgeMaps(NamedTuple):
    """What is the same for all subjects about the nested family: made by `ridge_maps`."""

    training: list[str]
    test: list[str]
    skip: int
    fits: dict[int, list[_Fit]]


def _scored(test: Sequence[str], parts: Mapping[str, np.ndarray], skip: int) -> np.ndarray:
    """(M, ...) rows of the test stories that are scored: all but the first `skip` TRs of each."""
    return np.concatenate([parts[story][skip:] for story in test])


def _design(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(R, K d) response rows of a story's latent (R, d), scaled as `by` is, delayed within the story."""
    x = (x - by.mean(0)) / by.std(0)
    return np.concatenate([brain.delayed(x, delay) for delay in brain.DELAYS], axis=1)


def ridge_maps(
    words: Mapping[str, np.ndarray], training: Sequence[str], test: Sequence[str], skip: int
) -> RidgeMaps:
    """Ridge maps of every width and penalty, from the stories' latents (T, D)."""
    fits: dict[int, list[_Fit]] = {}
    rows = [len(words[story][latents.RESPONSE]) for story in training]
    for d in WIDTHS:
        parts = {story: x[latents.RESPONSE, :d] for story, x in words.items()}
        pooled = np.concatenate([parts[story] for story in training])
        x_train = np.concatenate([_design(parts[s], parts[s]) for s in training])  # (N, K d)
        x_test = _scored(test, {s: _design(parts[s], pooled) for s in test}, skip)  # (M, K d)
        x_test = x_test - x_test.mean(0)
        left, size, right = np.linalg.svd(x_train, full_matrices=False)
        fits[d] = []
        for penalty in PENALTIES * np.mean(size**2) * len(size):
            predict = (x_test @ right.T) * (size / (size**2 + penalty)) @ left.T
            fits[d].append(_Fit(predict, _lags(predict, rows)))
    return RidgeMaps(list(training), list(test), skip, fits)


def _lags(predict: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Mean over test TRs of sum_ij P_i P_j [|i - j| = lag, in one story], doubled above lag 0: (lags,)."""
    weights = np.zeros(max(rows))
    start = 0
    for n in rows:
        block = predict[:, start : start + n]
        gram = block.T @ block / len(predict)  # (n, n)
        lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        weights[:n] += np.bincount(lag.ravel(), gram.ravel(), n)
        start += n
    return weights


def true_ceiling(
    subject: PhantomSubject, signal: Mapping[str, np.ndarray], test: Sequence[str], skip: int, repeats: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal power, noise power of one repeat (published units squared), and CCmax of the mean; each (V,).

    CCmax = sqrt(signal / (signal + noise / repeats)) over the scored rows (Schoppe et al. 2016,
    doi 10.3389/fncom.2016.00010).
    """
    # Powers are taken about the mean of the scored rows; slow noise loses a little of its power there.
    signal_power = _scored(test, signal, skip).var(0)
    trs = [len(signal[story]) - skip for story in test]
    within = np.average([brain.noise_within(subject.memory, n) for n in trs], axis=0, weights=trs)
    noise_power = subject.noise * within
    cc_max = np.sqrt(signal_power / (signal_power + noise_power / repeats))
    return signal_power * subject.scale**2, noise_power * subject.scale**2, cc_max


def expected_r(
    subject: PhantomSubject,
    words: Mapping[str, np.ndarray],
    signal: Mapping[str, np.ndarray],
    maps: RidgeMaps,
    repeats: int,
) -> dict[str, np.ndarray]:
    """Expected correlation of each width in each voxel: {case: (widths, V)}, NaN without word signal."""
    use = np.flatnonzero(subject.voxels.region == "language")
    n_voxels = len(subject.signal)
    found = {name: np.full((len(WIDTHS), n_voxels), np.nan) for name in ("population", "test", "trained")}
    truth = _scored(maps.test, signal, maps.skip)[:, use]  # (M, v)
    truth = truth - truth.mean(0)
    powers = true_ceiling(subject, signal, maps.test, maps.skip, repeats)[:2]
    signal_power, noise_power = (x[use] / subject.scale[use] ** 2 for x in powers)
    power = signal_power + noise_power / repeats
    y_train = np.concatenate([signal[story][:, use] for story in maps.training])  # (N, v)
    share = np.cumsum(latents.spectrum() ** 2)
    population = np.sqrt(subject.signal / (subject.signal + subject.noise / repeats))[use]
    autocovariance = subject.memory[use] ** np.arange(max(len(signal[s]) for s in maps.training))[:, None]
    for i, d in enumerate(WIDTHS):
        found["population"][i, use] = population * np.sqrt(share[d - 1])
        part = {
            story: brain.respond(words[story][:, :d] @ subject.latent[:d][:, use], subject.fir[:, use])
            for story in maps.test
        }
        guess = _scored(maps.test, part, maps.skip)
        guess = guess - guess.mean(0)
        found["test"][i, use] = (guess * truth).mean(0) / np.sqrt(guess.var(0) * power)
        best = np.full(len(use), -np.inf)
        for fit in maps.fits[d]:
            mean = fit.predict @ y_train  # (M, v)
            variance = (mean**2).mean(0) + subject.noise[use] * (fit.noise @ autocovariance)
            best = np.maximum(best, (mean * truth).mean(0) / np.sqrt(variance * power))
        found["trained"][i, use] = best
    return found


def fit_line(r: np.ndarray, dimensions: Sequence[int] = WIDTHS) -> tuple[float, float]:
    """Slope per decade and intercept (at one dimension) of the least-squares line of scores in log10 d."""
    slope, intercept = np.polyfit(np.log10(dimensions), r, 1)
    return float(slope), float(intercept)
