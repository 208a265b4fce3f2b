"""Two fits compared: what is better is found where it is, and where both are equal nothing is."""

import numpy as np
import pytest
from simulated_study import chain, smooth, write_moments, write_voxels

from voxscale.encoding import MomentsFile
from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.scores import write_comparison
from voxscale.scores.cells import cell_scores
from voxscale.scores.comparison import compare
from voxscale.statistics import block_counts

SETTINGS = {"skip_s": 40, "tr_s": 2.0, "draws": 200, "interval": 0.9, "seed": 0, "permutations": 400}
VOXELS, TRS = 30, 420


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two subjects: in a region, half of the voxels, the first fit is better; in the rest both are equal."""
    folder, found = tmp_path_factory.mktemp("cells"), {"first": [], "second": []}
    rise = np.where(np.arange(VOXELS) < VOXELS // 2, 0.65, 0.3)
    for i, subject in enumerate(("S1", "S2")):
        predicted, observed = chain(np.stack([np.full(VOXELS, 0.3), rise]), TRS, seed=i)
        scaled = {"second": predicted[:1], "first": 0.01 * predicted[1:]}  # under another penalty
        for name, values in scaled.items():
            found[name].append(folder / f"{subject}-{name}.h5")
            write_moments(found[name][-1], values, observed, {"t": 220, "u": 200}, skip=20)
    write_voxels(folder / "voxels.parquet", ["S1", "S2"], VOXELS, region="AC")
    return folder, found


def written(study, **changes):
    folder, found = study
    paths = folder / "comparison.parquet", folder / "sets.parquet"
    subjects, files = ["S1", "S2"], found | changes
    write_comparison(
        "x", subjects, files["first"], files["second"], folder / "voxels.parquet", *paths, SETTINGS
    )
    return (
        tables.read(name, path).to_pandas()
        for name, path in zip(("comparison", "comparison_sets"), paths, strict=True)
    )


def test_the_better_fit_is_found_where_it_is_better(study):
    voxels, sets = written(study)
    better = voxels.voxel < VOXELS // 2
    assert voxels.difference[better].mean() == pytest.approx(0.35, abs=0.05)
    np.testing.assert_allclose(voxels.difference[~better], 0, atol=1e-3)
    assert (voxels.q[better] <= 0.05).mean() > 0.5
    assert np.allclose(voxels.difference, voxels.r_a - voxels.r_b)
    rows = sets[sets.metric == "r"].set_index(["subject", "voxel_set"])
    assert set(rows.index.levels[0]) == {"S1", "S2", "pooled"}
    pooled = rows.loc["pooled"]
    assert pooled.difference["all"] == pytest.approx(
        np.mean([rows.difference[subject, "all"] for subject in ("S1", "S2")])
    )
    assert pooled.lo["roi:AC"] < 0.35 < pooled.hi["roi:AC"]
    assert pooled.q["roi:AC"] <= 0.01
    assert np.isnan(pooled.q["all"])
    assert pooled.n_voxels["all"] == 2 * VOXELS


def test_exchanging_the_fits_changes_the_sign_alone(study):
    (one, sets), files = written(study), study[1]
    other, turned = written(study, first=files["second"], second=files["first"])
    np.testing.assert_allclose(one.difference, -other.difference)
    np.testing.assert_allclose(one.lo, -other.hi, atol=1e-9)
    np.testing.assert_allclose(one.p, other.p)
    np.testing.assert_allclose(sets.p, turned.p)


def test_equal_fits_differ_at_the_rate_of_chance(tmp_path):
    rng, n = np.random.default_rng(0), 800
    signal, first, second, noise = smooth(rng.normal(size=(4, n, 350)))
    observed = 0.4 * signal + noise
    cells = [
        MomentsFile(write_moments(tmp_path / f"{i}.h5", (signal + own)[None], observed, {"t": 300}))
        for i, own in enumerate((first, second))
    ]
    settings = SETTINGS | {"skip_s": 0, "draws": 100, "permutations": 200}
    found, _, _ = compare(cells, {"all": np.ones(n, bool)}, settings)
    assert 0.02 < (found["p"] <= 0.05).mean() < 0.08
    assert 0.84 < ((found["lo"] < 0) & (found["hi"] > 0)).mean() < 0.95
    assert not (found["q"] <= 0.05).any()


def test_scores_are_those_of_all_draws(study, tmp_path):
    """As in table `summary`: a fit to all stories has one draw, one to some of them several."""
    predicted, observed = chain(np.stack([np.full(VOXELS, r) for r in (0.1, 0.3, 0.5)]), TRS)
    cells = [
        MomentsFile(write_moments(tmp_path / name, values, observed, {"t": 220, "u": 200}, skip=20))
        for name, values in (("all.h5", predicted[2:]), ("some.h5", predicted))
    ]
    sets, counts = {"all": np.ones(VOXELS, bool)}, block_counts(40, 2, 0)
    _, means, _ = compare(cells, sets, SETTINGS)
    for side, cell in enumerate(cells):
        real = cell_scores(cell, SETTINGS["skip_s"] / SETTINGS["tr_s"], counts, sets).mean(0)[0, 0]
        np.testing.assert_allclose(means["all"][side, :, 0], real, rtol=1e-6)


def test_other_test_trs_are_refused(study, tmp_path):
    _, found = study
    predicted, observed = chain(np.full((1, VOXELS), 0.3), TRS)
    other = write_moments(tmp_path / "other.h5", predicted, observed, {"t": 200, "u": 220}, skip=20)
    with pytest.raises(UserError, match="other TRs"):
        written(study, second=[found["second"][0], other])
