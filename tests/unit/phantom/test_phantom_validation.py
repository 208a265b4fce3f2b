"""Validation of results: right ones hold, and each check and statement can fail."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_phantom import REPEATS, SKIP, TEST, TRAINING, hear

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.phantom import expectation, validation
from voxscale.scores.ceiling import ceiling_columns

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
    maps = expectation.ridge_maps(words, TRAINING, TEST, SKIP)
    expected = expectation.expected_r(subject, words, signal, maps, REPEATS)
    signal_power, noise_power, cc_max = expectation.true_ceiling(subject, signal, TEST, SKIP, REPEATS)
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
            "dimensions": list(expectation.WIDTHS),
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
                    mean = expected[expectation.WIDTHS.index(card["width"]), voxel.voxel]
                rows.append(
                    {"model": card["model"], "layer": 1, "subject": "UTS01", "n_train": n_train, "draw": 0}
                    | {"voxel": voxel.voxel, "r": mean + rng.normal(0, 0.02), "p": rng.uniform()}
                )
    columns = ceiling_columns([hear(subject, signal, "test", REPEATS, 7).swapaxes(1, 2)[:, :, SKIP:]])
    columns.pop("agreement")
    ceiling = pa.table({"subject": ["UTS01"] * 60, "voxel": np.arange(60), **columns})
    at = [expectation.WIDTHS.index(d) for d in (1, 4, 16)]
    mean = np.nanmean(expected[at], axis=1)
    slope, intercept = expectation.fit_line(mean, (1, 4, 16))
    same = {"metric": "r", "voxel_set": "roi:language"}
    points = [
        {"subject": "UTS01", "group": "nested", "x": x, "y": y, "lo": y - 0.02, "hi": y + 0.02} | same
        for x, y in zip((1.0, 4.0, 16.0), mean, strict=True)
    ]
    law = [
        {"law": "nested", "subject": who, "points": "all", "group": "all"}
        | same
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
    found = validation.validate_phantom("truth", *results[0], CARDS, **results[1])
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
    found = validation.validate_phantom("truth", *tables_, CARDS, **others)
    assert not found["holds"]
    assert what in {row["check"] for row in found["checks"] if not row["inside"]}


@pytest.mark.parametrize("what", ["more training", "who wins", "form", "layer", "mixed weight of speech"])
def test_each_statement_can_fail(results, what):
    tables_, others = _broken(results, what)
    found = validation.validate_phantom("truth", *tables_, CARDS, **others)
    assert not found["holds"]
    assert not all(row["holds"] for row in found["statements"])


def test_the_truth_must_be_there(tmp_path):
    ceiling = pa.table({"subject": ["UTS01"]})
    with pytest.raises(UserError, match=r"stimuli\.json: no such file"):
        validation.validate_phantom(tmp_path, pa.table({}), ceiling, *[pa.table({})] * 2, CARDS)


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
