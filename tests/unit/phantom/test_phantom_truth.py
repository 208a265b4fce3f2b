"""The phantom's truth is true: its line, its drives, its ceilings."""

import itertools

import made_phantom
import numpy as np
import pandas as pd
import pytest
from made_phantom import REPEATS, SKIP, TEST, TRAINING, hear
from sklearn.linear_model import Ridge

from voxscale.phantom import brain, expectation, latents, patches
from voxscale.phantom.checks import Findings, check_ceiling
from voxscale.phantom.speech import RATE_HZ, Speech
from voxscale.scores.ceiling import ceiling_columns


@pytest.fixture(scope="module")
def stories():
    return made_phantom.stories()


def test_clock_matches_the_published_counts():
    # 8 minutes 20: 500 s of sound, 20 s around it, 260 TRs, 5 more in respdict, 245 in the responses.
    assert latents.respdict_trs(500.0) == 265
    onsets = latents.clock_onsets(500.0)
    assert (len(onsets), onsets[0], onsets[latents.RESPONSE][0], len(onsets[latents.RESPONSE])) == (
        260,
        -10,
        10,
        245,
    )


def test_latent_is_white(stories, drives):
    words, _ = drives
    kept = np.concatenate([x[latents.RESPONSE] - x[latents.RESPONSE].mean(0) for x in words.values()])
    np.testing.assert_allclose(kept.T @ kept / len(kept), np.eye(latents.DIMENSIONS), atol=1e-6)
    late = np.concatenate([brain.delayed(x, 2)[latents.RESPONSE] for x in words.values()])
    lagged = np.corrcoef(kept.T, late.T)[:32, 32:]
    assert np.abs(lagged).mean() < 0.06  # dimensions are uncorrelated at other delays too


def test_spectrum_makes_a_straight_line():
    share = np.cumsum(latents.spectrum() ** 2)
    assert share[-1] == pytest.approx(1)
    r = np.sqrt(share[np.array(expectation.WIDTHS) - 1])
    steps = np.diff(r) / np.diff(np.log10(expectation.WIDTHS))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    assert (np.diff(latents.spectrum()[1:]) < 0).all()


def test_sound_bands_find_a_tone():
    time = np.arange(40 * RATE_HZ) / RATE_HZ
    tone = np.where(time < 20, np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 4000 * time))
    bands = latents.sound_bands(Speech((8000 * tone).astype(np.int16), [], []))
    low, high = bands[7], bands[18]  # 4 to 6 s and 26 to 28 s after the start of the sound
    assert low.argmax() < 4
    assert high.argmax() > 7
    assert low.max() - np.median(low) > 20
    assert np.all(bands[0] == bands[0].min())  # before the sound


def test_signal_has_its_power_and_its_drive(subject, signal, drives):
    pooled = np.concatenate(list(signal.values()))
    np.testing.assert_allclose(pooled.var(0), subject.signal, atol=1e-12)
    region = subject.voxels.region
    assert (subject.signal[region == "silent"] == 0).all()
    # Without noise, a language voxel is a weighted sum of its delayed latent, to the last digit.
    words, _ = drives
    x = np.concatenate(
        [
            np.concatenate([brain.delayed(w, k)[latents.RESPONSE] for k in brain.DELAYS], axis=1)
            for w in words.values()
        ]
    )
    start = np.cumsum([0] + [len(y) for y in signal.values()])
    for a, b in itertools.pairwise(start):
        x[a:b] -= x[a:b].mean(0)
    for kind, residual in (("language", 1e-9), ("auditory", None)):
        y = pooled[:, region == kind]
        left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        assert (left.var() < residual) if residual else (left.var() > 0.3 * y.var())


def test_ceiling_truth_is_what_an_estimate_finds(subject, signal):
    powers = expectation.true_ceiling(subject, signal, TEST, SKIP, REPEATS)
    found = [
        ceiling_columns([hear(subject, signal, "test", REPEATS, seed).swapaxes(1, 2)[:, :, SKIP:]])
        for seed in range(30)
    ]
    for name, true in (("signal_power", powers[0]), ("noise_power", powers[1])):
        estimates = np.array([columns[name] for columns in found])
        error = estimates.std(0, ddof=1) / np.sqrt(len(found))
        z = (estimates.mean(0) - true) / error
        assert np.abs(z).max() < 4.5
        assert abs(z.mean()) < 0.5
    driven = subject.signal > 0.2
    share = np.array([columns["ccmax"] for columns in found]).mean(0)
    np.testing.assert_allclose(share[driven], powers[2][driven], atol=0.03)


def test_expected_scores_are_what_a_ridge_reaches(subject, signal, drives):
    """An independent ridge on many noisy data sets, at each voxel's best penalty, scores as expected."""
    words, _ = drives
    maps = expectation.ridge_maps(words, TRAINING, TEST, SKIP)
    expected = expectation.expected_r(subject, words, signal, maps, REPEATS)["trained"]
    use = np.flatnonzero(subject.voxels.region == "language")

    def design(d, story):
        x = words[story][latents.RESPONSE, :d]
        x = (x - x.mean(0)) / x.std(0)
        return np.concatenate([np.vstack([np.zeros((k, d)), x[:-k]]) for k in brain.DELAYS], axis=1)

    noisy = []
    for seed in range(12):
        heard = {s: hear(subject, signal, s, 1, seed)[0][:, use] for s in TRAINING}
        y = np.concatenate([h - h.mean(0) for h in heard.values()])
        noisy.append((y, hear(subject, signal, "test", REPEATS, 100 + seed).mean(0)[SKIP:, use]))
    for i in (0, 2, 4):
        d = expectation.WIDTHS[i]
        x = np.concatenate([design(d, story) for story in TRAINING])
        x_test = design(d, "test")[SKIP:]
        best = []
        for penalty in expectation.PENALTIES * np.linalg.norm(x) ** 2:
            scores = []
            for y, y_test in noisy:
                p = Ridge(penalty, fit_intercept=False).fit(x, y).predict(x_test)
                scores.append([np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, y_test.T, strict=True)])
            best.append(np.mean(scores, axis=0))
        found = np.max(best, axis=0)  # (voxels,)
        assert found.mean() == pytest.approx(expected[i, use].mean(), abs=0.02)
        np.testing.assert_allclose(found, expected[i, use], atol=0.12)


def test_oracle_on_noise_free_data_reaches_the_test_line(subject, signal, drives):
    """With the true weights on d dimensions and no noise, r is the expected one over the ceiling."""
    words, _ = drives
    maps = expectation.ridge_maps(words, TRAINING, TEST, SKIP)
    expected = expectation.expected_r(subject, words, signal, maps, REPEATS)
    cc_max = expectation.true_ceiling(subject, signal, TEST, SKIP, REPEATS)[2]
    voxel = int(np.flatnonzero(subject.voxels.region == "language")[0])
    for i, d in enumerate(expectation.WIDTHS):
        guess = sum(
            subject.fir[k - 1, voxel] * np.roll(words["test"][:, :d] @ subject.latent[:d, voxel], k)
            for k in brain.DELAYS
        )[latents.RESPONSE]
        r = np.corrcoef(guess[SKIP:], signal["test"][SKIP:, voxel])[0, 1]
        assert expected["test"][i, voxel] == pytest.approx(r * cc_max[voxel], abs=1e-9)
    assert expected["test"][-1, voxel] == pytest.approx(cc_max[voxel], abs=1e-9)
    slope, intercept = expectation.fit_line(np.nanmean(expected["population"], axis=1))
    assert intercept == pytest.approx(np.nanmean(expected["population"], axis=1)[0])
    assert intercept / (intercept + slope * np.log10(32)) == pytest.approx(0.35)


@pytest.mark.parametrize("repeats", [5, 10])
def test_the_ceiling_of_the_phantom_is_recovered(drives, repeats):
    """As many voxels as a subject of the demo, in responses that were heard 5 or 10 times."""
    rng = np.random.default_rng(repeats)
    many = brain.draw_subject(patches.place_voxels(1200, rng), rng)
    heard = hear(many, brain.signals(many, *drives), "test", repeats, 3)
    columns = ceiling_columns([heard.swapaxes(1, 2)[:, :, SKIP:]])
    columns.pop("agreement")
    powers = expectation.true_ceiling(many, brain.signals(many, *drives), TEST, SKIP, repeats)
    named = {"subject": "UTS01", "voxel": np.arange(1200)}
    truth = dict(zip(("signal_power", "noise_power", "cc_max"), powers, strict=True))
    truth = pd.DataFrame(named | truth | {"region": many.voxels.region})
    found = Findings()
    check_ceiling(found, truth, pd.DataFrame(named | columns), 0.9)
    assert len(found.checks) == 3
    assert [row for row in found.checks if not row["inside"]] == []
