"""The phantom's truth is true: its line, its ceilings, and what validation makes of results."""

import itertools
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import Ridge

from voxscale import tables
from voxscale.ceiling import ceiling_columns
from voxscale.errors import UserError
from voxscale.phantom import brain, cortex, expectation, latents, validation
from voxscale.phantom.speech import RATE_HZ, Interval, Speech

TRAINING, TEST, SKIP, REPEATS = [f"story{i}" for i in range(6)], ["test"], 10, 6


@pytest.fixture(scope="module")
def stories():
    """Stories of random words, a word every 0.4 s, with noise for a sound: no synthesiser needed."""
    rng = np.random.default_rng(0)
    found = {}
    for story in [*TRAINING, *TEST]:
        n = 400 if story in TRAINING else 600
        labels = rng.choice([f"w{i}" for i in range(60)], n)
        words = [Interval(label, 0.4 * i + 0.3, 0.4 * i + 0.65) for i, label in enumerate(labels)]
        loudness = np.repeat(rng.uniform(100, 4000, n // 10), 4 * RATE_HZ)
        sound = (rng.standard_normal(len(loudness)) * loudness).clip(-32000, 32000).astype(np.int16)
        found[story] = Speech(sound, words, [])
    return found


@pytest.fixture(scope="module")
def drives(stories):
    return latents.words_latent(stories, 1), {s: latents.sound_bands(said) for s, said in stories.items()}


@pytest.fixture(scope="module")
def subject(drives):
    rng = np.random.default_rng(5)
    return brain.draw(cortex.place(60, rng, cortex.surfaces()), rng)


@pytest.fixture(scope="module")
def signal(subject, drives):
    return brain.signals(subject, *drives)


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


def test_latent_is_white_and_does_not_tell_the_word_rate(stories, drives):
    words, _ = drives
    kept = np.concatenate([x[latents.RESPONSE] - x[latents.RESPONSE].mean(0) for x in words.values()])
    np.testing.assert_allclose(kept.T @ kept / len(kept), np.eye(latents.DIMENSIONS), atol=1e-6)
    late = np.concatenate([brain.delayed(x, 2)[latents.RESPONSE] for x in words.values()])
    lagged = np.corrcoef(kept.T, late.T)[:32, 32:]
    assert np.abs(lagged).mean() < 0.06  # dimensions are strangers at other delays too


def test_spectrum_makes_a_straight_line():
    share = np.cumsum(latents.spectrum() ** 2)
    assert share[-1] == pytest.approx(1)
    r = np.sqrt(share[np.array(expectation.DIMENSIONS) - 1])
    steps = np.diff(r) / np.diff(np.log10(expectation.DIMENSIONS))
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


def _hear(subject, signal, story, repeats, seed):
    return brain.hearings(subject, signal[story], repeats, np.random.default_rng([seed, hash_of(story)]))


def hash_of(story):
    return sum(story.encode())


def test_ceiling_truth_is_what_an_estimate_finds(subject, signal):
    powers = expectation.ceiling(subject, signal, TEST, SKIP, REPEATS)
    found = [
        ceiling_columns([_hear(subject, signal, "test", REPEATS, seed).swapaxes(1, 2)[:, :, SKIP:]])
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
    maps = expectation.ridge(words, TRAINING, TEST, SKIP)
    expected = expectation.expect(subject, words, signal, maps, REPEATS)["trained"]
    use = np.flatnonzero(subject.voxels.region == "language")

    def design(d, story):
        x = words[story][latents.RESPONSE, :d]
        x = (x - x.mean(0)) / x.std(0)
        return np.concatenate([np.vstack([np.zeros((k, d)), x[:-k]]) for k in brain.DELAYS], axis=1)

    noisy = []
    for seed in range(12):
        heard = {s: _hear(subject, signal, s, 1, seed)[0][:, use] for s in TRAINING}
        y = np.concatenate([h - h.mean(0) for h in heard.values()])
        noisy.append((y, _hear(subject, signal, "test", REPEATS, 100 + seed).mean(0)[SKIP:, use]))
    for i in (0, 2, 4):
        d = expectation.DIMENSIONS[i]
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
    maps = expectation.ridge(words, TRAINING, TEST, SKIP)
    expected = expectation.expect(subject, words, signal, maps, REPEATS)
    cc_max = expectation.ceiling(subject, signal, TEST, SKIP, REPEATS)[2]
    voxel = int(np.flatnonzero(subject.voxels.region == "language")[0])
    for i, d in enumerate(expectation.DIMENSIONS):
        guess = sum(
            subject.fir[k - 1, voxel] * np.roll(words["test"][:, :d] @ subject.latent[:d, voxel], k)
            for k in brain.DELAYS
        )[latents.RESPONSE]
        r = np.corrcoef(guess[SKIP:], signal["test"][SKIP:, voxel])[0, 1]
        assert expected["test"][i, voxel] == pytest.approx(r * cc_max[voxel], abs=1e-9)
    assert expected["test"][-1, voxel] == pytest.approx(cc_max[voxel], abs=1e-9)
    slope, intercept = expectation.line(np.nanmean(expected["population"], axis=1))
    assert intercept == pytest.approx(np.nanmean(expected["population"], axis=1)[0])
    assert intercept / (intercept + slope * np.log10(32)) == pytest.approx(0.35)


# -- validation, on results made up from the truth ---------------------------------------------------------

CARDS = [
    {"model": "lm", "modality": "language", "width": 8},
    {"model": "hum", "modality": "speech", "width": 8},
    *({"model": f"nested-{d}", "modality": "nested", "width": d} for d in (1, 4, 16)),
    {"model": "noisy", "modality": "nested", "width": 32, "noise": [1.0, 0.0, 1.0]},
]
LEVEL = {"language": {"lm": 0.4, "hum": 0.1}, "auditory": {"lm": 0.1, "hum": 0.5}}
# Of each region: what the stack has of it. Joint r², unique to language and to speech, weight of speech.
PARTS = {
    "language": (0.3, 0.29, 0.0, 0.04),
    "auditory": (0.5, 0.0, 0.5, 0.97),
    "mixed": (0.3, 0.1, 0.19, 0.6),
    "silent": (0.0, 0.0, 0.0, 0.5),
}


def _truth(monkeypatch, subject, signal, drives):
    words, _ = drives
    maps = expectation.ridge(words, TRAINING, TEST, SKIP)
    expected = expectation.expect(subject, words, signal, maps, REPEATS)
    signal_power, noise_power, cc_max = expectation.ceiling(subject, signal, TEST, SKIP, REPEATS)
    region = subject.voxels.region
    voxels = pd.DataFrame(
        {
            "subject": "UTS01",
            "voxel": np.arange(60),
            "roi": subject.voxels.roi,
            "region": region,
            "nested": region == "language",
            "signal_power": signal_power,
            "noise_power": noise_power,
            "cc_max": cc_max,
        }
    )
    lines = {name: {"r": np.nanmean(r, axis=1).tolist()} for name, r in expected.items()}
    truth = {
        "nested": {
            "region": "language",
            "metric": "r",
            "dimensions": list(expectation.DIMENSIONS),
            "subjects": {"UTS01": lines},
        }
    }
    monkeypatch.setattr(validation, "read_truth", lambda folder, subjects: (truth, voxels))
    return expected["trained"], voxels


@pytest.fixture
def results(monkeypatch, subject, signal, drives):
    """Scores, ceiling and laws of a workflow that does everything right."""
    expected, voxels = _truth(monkeypatch, subject, signal, drives)
    rng = np.random.default_rng(1)
    rows = []
    for card in CARDS:
        for n_train in (3, 6) if card["model"] == "lm" else (6,):
            for _, voxel in voxels.iterrows():
                mean = LEVEL.get(voxel.region, {}).get(card["model"], 0.0) * n_train / 6
                if card["modality"] == "nested" and voxel.nested:
                    mean = expected[expectation.DIMENSIONS.index(card["width"]), voxel.voxel]
                rows.append(
                    {"model": card["model"], "layer": 1, "subject": "UTS01", "n_train": n_train, "draw": 0}
                    | {"voxel": voxel.voxel, "r": mean + rng.normal(0, 0.02), "p": rng.uniform()}
                )
    columns = ceiling_columns([_hear(subject, signal, "test", REPEATS, 7).swapaxes(1, 2)[:, :, SKIP:]])
    columns.pop("agreement")
    ceiling = pa.table({"subject": ["UTS01"] * 60, "voxel": np.arange(60), **columns})
    at = [expectation.DIMENSIONS.index(d) for d in (1, 4, 16)]
    mean = np.nanmean(expected[at], axis=1)
    slope, intercept = expectation.line(mean, (1, 4, 16))
    told = {"metric": "r", "voxel_set": "roi:language"}
    points = [
        {"subject": "UTS01", "group": "nested", "x": x, "y": y, "lo": y - 0.02, "hi": y + 0.02} | told
        for x, y in zip((1.0, 4.0, 16.0), mean, strict=True)
    ]
    law = [
        {"law": "nested", "subject": who, "points": "all", "group": "all"}
        | told
        | {"form": "log_linear", "parameter": name, "estimate": value, "lo": value - 0.02, "hi": value + 0.02}
        for who in ("UTS01", "pooled")
        for name, value in (("a", intercept), ("b", slope))
    ]
    law = [row | {"aicc": -40.0} for row in law]
    law += [row | {"form": "power", "aicc": -30.0} for row in law if row["parameter"] == "a"]
    tables_ = (rows, points, law, *_stacks(voxels, rng))
    rows, points, law, *others = (pa.Table.from_pylist(table) for table in tables_)
    return (rows, ceiling, points, law), dict(zip(("stacking", "weights", "layers"), others, strict=True))


def _stacks(voxels, rng):
    """Tables `stacking`, `stacking_weights` and `layers` of a workflow that does everything right."""
    stacking, weights = [], []
    for voxel, region in zip(voxels.voxel, voxels.region, strict=True):
        joint, language, speech, weight = PARTS[region] + rng.normal(0, 0.01, 4)
        named = {"subject": "UTS01", "voxel": voxel}
        parts = {"unique_language": language, "unique_speech": speech, "shared": joint - language - speech}
        stacking.append(named | {"r2_joint": joint} | parts)
        weights += [named | {"model": m, "weight": w} for m, w in (("lm", 1 - weight), ("hum", weight))]
    layers = [
        {"model": "noisy", "subject": "UTS01", "voxel_set": "roi:language", "layer": i, "mean_cv_r": r}
        for i, r in enumerate((0.3, 0.6, 0.4))
    ]
    return stacking, weights, layers


def test_right_results_hold(results):
    found = validation.validate("truth", *results[0], CARDS, **results[1])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["holds"], [row for row in found["checks"] if not row["inside"]]
    assert {row["check"] for row in found["checks"]} == {
        "nested slope per decade",
        "nested mean score",
        "ceiling, mean error",
        "ceiling, coverage",
        "silent signal power",
        "silent voxels, mean r",
        "silent voxels, share of p ≤ 0.05",
        *(f"silent voxels, unique to {kind}" for kind in ("language", "speech")),
        *(f"{region} voxels, shared variance" for region in ("language", "auditory", "mixed")),
        *(f"{region} voxels, weight of speech" for region in ("language", "auditory")),
        "language voxels, unique to speech",
        "auditory voxels, unique to language",
    }
    assert len(found["statements"]) == 3 + 2 + 4 + 1  # regions and training, forms, stacks, layers
    assert [row["x"] for row in found["points"]] == [1, 4, 16]
    assert [(row["series"], row["x"]) for row in found["lines"]] == [
        (series, x) for series in ("endless training", "truth", "recovered") for x in (1, 4, 16)
    ]


def _shift(table, column, change):
    return table.set_column(
        table.column_names.index(column),
        column,
        pa.array(change(table[column].to_numpy(zero_copy_only=False))),
    )


def _broken(results, what):
    (scores, ceiling, points, laws), others = results
    frame, others = scores.to_pandas(), dict(others)
    if what == "nested slope per decade":
        for column in ("estimate", "lo", "hi"):
            laws = _shift(laws, column, lambda x: x * 0.6)
    elif what == "nested mean score":
        for column in ("y", "lo", "hi"):
            points = _shift(points, column, lambda x: x + 0.1)
    elif what == "ceiling, mean error":
        for column in ("ccmax", "ccmax_lo", "ccmax_hi"):
            ceiling = _shift(ceiling, column, lambda x: x * 0.8)
    elif what == "ceiling, coverage":
        ceiling = _shift(ceiling, "ccmax_hi", lambda x: np.zeros_like(x))
    elif what == "silent signal power":
        ceiling = _shift(ceiling, "signal_power", lambda x: x + 0.1)
    elif what == "silent voxels, mean r":
        frame.r += 0.1
    elif what == "silent voxels, share of p ≤ 0.05":
        frame.p /= 4
    elif what.endswith("shared variance"):
        others["stacking"] = _shift(others["stacking"], "shared", lambda x: x + 0.1)
    elif what.endswith(("unique to language", "unique to speech")):
        others["stacking"] = _shift(others["stacking"], f"unique_{what.split()[-1]}", lambda x: x + 0.1)
    elif what.endswith("weight of speech"):
        others["weights"] = _shift(others["weights"], "weight", lambda x: 1 - x)
    elif what == "form":
        laws = _shift(laws, "aicc", lambda x: -x)
    elif what == "layer":
        others["layers"] = _shift(others["layers"], "mean_cv_r", lambda x: x[::-1])
        others["layers"] = _shift(others["layers"], "layer", lambda x: (x + 1) % 3)
    elif what == "more training":
        frame.loc[(frame.model == "lm") & (frame.n_train == 6), "r"] *= 0.3
    elif what == "who wins":
        frame["model"] = frame.model.replace({"lm": "hum", "hum": "lm"})
    return (pa.Table.from_pandas(frame, preserve_index=False), ceiling, points, laws), others


@pytest.mark.parametrize(
    "what",
    [
        "nested slope per decade",
        "nested mean score",
        "ceiling, mean error",
        "ceiling, coverage",
        "silent signal power",
        "silent voxels, mean r",
        "silent voxels, share of p ≤ 0.05",
        "language voxels, shared variance",
        "mixed voxels, shared variance",
        "auditory voxels, unique to language",
        "language voxels, unique to speech",
        "silent voxels, unique to speech",
        "language voxels, weight of speech",
        "auditory voxels, weight of speech",
    ],
)
def test_each_check_can_fail(results, what):
    tables_, others = _broken(results, what)
    found = validation.validate("truth", *tables_, CARDS, **others)
    assert not found["holds"]
    assert what in {row["check"] for row in found["checks"] if not row["inside"]}


@pytest.mark.parametrize("what", ["more training", "who wins", "form", "layer", "mixed weight of speech"])
def test_each_statement_can_fail(results, what):
    tables_, others = _broken(results, what)
    found = validation.validate("truth", *tables_, CARDS, **others)
    assert not found["holds"]
    assert not all(row["holds"] for row in found["statements"])


def test_the_truth_must_be_there(tmp_path):
    ceiling = pa.table({"subject": ["UTS01"]})
    with pytest.raises(UserError, match=r"stimuli\.json: no such file"):
        validation.validate(tmp_path, pa.table({}), ceiling, *[pa.table({})] * 2, CARDS)


@pytest.mark.parametrize("repeats", [5, 10])
def test_the_ceiling_of_the_phantom_is_recovered(drives, repeats):
    """As many voxels as a subject of the demo, in responses that were heard 5 or 10 times."""
    rng = np.random.default_rng(repeats)
    many = brain.draw(cortex.place(1200, rng, cortex.surfaces()), rng)
    heard = _hear(many, brain.signals(many, *drives), "test", repeats, 3)
    columns = ceiling_columns([heard.swapaxes(1, 2)[:, :, SKIP:]])
    columns.pop("agreement")
    powers = expectation.ceiling(many, brain.signals(many, *drives), TEST, SKIP, repeats)
    named = {"subject": "UTS01", "voxel": np.arange(1200)}
    truth = dict(zip(("signal_power", "noise_power", "cc_max"), powers, strict=True))
    truth = pd.DataFrame(named | truth | {"region": many.voxels.region})
    checks = validation.check_ceiling(truth, pd.DataFrame(named | columns), 0.9)
    assert len(checks) == 3
    assert [row for row in checks if not row["inside"]] == []


def test_columns_used_are_those_of_the_tables():
    assert {"signal_power", "ccmax", "ccmax_lo", "ccmax_hi", "reliable"} <= set(
        tables.SCHEMAS["ceiling"].names
    )
    stacking = {"r2_joint", "shared", "unique_language", "unique_speech"}
    assert stacking <= set(tables.SCHEMAS["stacking"].names)
    assert {"model", "weight"} <= set(tables.SCHEMAS["stacking_weights"].names)
    assert {"layer", "mean_cv_r", "voxel_set"} <= set(tables.SCHEMAS["layers"].names)
    assert {"voxel_set", "points", "form", "aicc", "parameter", "estimate", "lo", "hi"} <= set(
        tables.SCHEMAS["laws"].names
    )
