"""A ceiling across subjects: simulated subjects whose shared response is known."""

import json

import h5py
import numpy as np
import pytest

from voxscale.dataset import open_subject, require_common
from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.scores import write_ceiling
from voxscale.scores.shared import shared_columns
from voxscale.statistics import blocks_of
from voxscale.timeseries import zscore

TRS, VOXELS = 300, 400
BLOCKS = blocks_of({"a": TRS}, 10)


def subjects(random, shared, own=0.0, n=5):
    """z-scored responses (subjects, voxels, TRs); `shared` and `own` are shares of variance."""
    shared = np.broadcast_to(shared, n)
    common = random.standard_normal((VOXELS, TRS))
    each = [
        np.sqrt(a) * common
        + np.sqrt(own) * random.standard_normal((VOXELS, TRS))
        + np.sqrt(1 - a - own) * random.standard_normal((VOXELS, TRS))
        for a in shared
    ]
    return np.stack([zscore(x, 1) for x in each])


@pytest.mark.parametrize(
    ("share", "others", "own"),
    [(0.3, [0.3] * 4, 0), (0.1, [0.4] * 3, 0), (0.2, [0.2] * 7, 0.4), (0.36, [0.64, 0.09], 0)],
)
def test_the_ceiling_is_the_correlation_with_what_is_shared(share, others, own):
    """Whatever each other shares, and whatever signal is its own, which a lower bound leaves out."""
    z = subjects(np.random.default_rng(1), [share, *others], own, 1 + len(others))
    found = shared_columns(z, np.full(VOXELS, 4.0), BLOCKS)
    truth = np.sqrt(share)
    assert np.nanmedian(found["ccmax"]) == pytest.approx(truth, abs=0.02)
    assert np.nanmedian(found["signal_power"]) == pytest.approx(4 * share, abs=0.08)
    held = (found["ccmax_lo"] <= truth) & (found["ccmax_hi"] >= truth)
    assert 0.84 < held.mean() < 0.96
    assert found["reliable"].mean() > 0.95
    # The correlation with the mean of the others itself is too low: it has their noise.
    mean = zscore(z[1:].mean(0), 1)
    plain = np.median((z[0] * mean).mean(1))
    assert plain < truth - 0.02


def test_subjects_that_share_nothing_have_no_reliable_ceiling():
    found = shared_columns(subjects(np.random.default_rng(2), 0.0), np.ones(VOXELS), BLOCKS)
    assert found["reliable"].mean() < 0.06
    floored = shared_columns(subjects(np.random.default_rng(2), 0.0), np.ones(VOXELS), BLOCKS, floor=0.25)
    assert floored["reliable"].all()
    assert floored["ccmax"].min() == 0.25


def write(path, values, voxels=5):
    with h5py.File(path, "w") as file:
        file.attrs.update(format="voxscale-responses-1", provenance="{}")
        file.attrs.update(stories=json.dumps(["a"]), test_stories=json.dumps(["a"]))
        file["voxels"] = np.arange(voxels, dtype=np.int32)
        group = file.create_group("a")
        group["data"] = values[:voxels].astype(np.float32)
        group.attrs.update(n_trs=TRS, n_repeats=0)
    return path


def test_tables_of_a_ceiling_across_subjects_and_of_none(tmp_path, capsys):
    z = subjects(np.random.default_rng(3), 0.4)
    paths = [write(tmp_path / f"{i}.h5", 3 * one + 7) for i, one in enumerate(z)]
    settings = {"skip_s": 0, "tr_s": 2.0, "interval": 0.9, "floor": None, "block_trs": 10}
    outputs = tmp_path / "c.parquet", tmp_path / "d.parquet"
    more = {"kind": "subjects", "ceiling_stories": ["a"]}
    write_ceiling(paths[0], *outputs, "S", settings | more, others=paths[1:])
    table = tables.read("ceiling", outputs[0]).to_pandas()
    expected = shared_columns(z[:, :5].astype(np.float32), np.full(5, 9.0), BLOCKS)
    np.testing.assert_allclose(table.ccmax, expected["ccmax"], atol=1e-4)
    np.testing.assert_allclose(table.signal_power, expected["signal_power"], rtol=1e-3)
    assert (table.n_repeats == 5).all()
    assert tables.read("drift", outputs[1]).num_rows == 0
    write_ceiling(paths[0], *outputs, "S", settings | {"kind": "none"})
    assert tables.read("ceiling", outputs[0]).to_pandas().ccmax.isna().all()
    assert "WARNING" not in capsys.readouterr().err


def test_subjects_with_other_voxels_are_refused(tmp_path):
    z = subjects(np.random.default_rng(4), 0.4, n=2)
    paths = write(tmp_path / "one.h5", z[0]), write(tmp_path / "two.h5", z[1], 4)
    with pytest.raises(UserError, match=r"two\.h5: has 4 voxels, one\.h5 5, or others; what is across"):
        require_common([open_subject(path) for path in paths])
