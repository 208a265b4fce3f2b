"""Laws from moments on disk to tables: the slope that went in comes out, and mistakes are refused."""

import numpy as np
import pytest
from scipy import stats
from simulated_study import correlate, nested, summary_row, write_moments, write_voxels

from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.laws import minima
from voxscale.laws.fit import fit_group, preferred_form, write_law
from voxscale.laws.points import choose_cells, points_provenance, score_points
from voxscale.laws.pooling import pool
from voxscale.statistics import draw_weights, interval

SIZES = np.array([4, 8, 16, 32, 64])
SETTINGS = {"skip_s": 100, "tr_s": 2.0, "draws": 100, "interval": 0.9, "seed": 0, "layer_choice": "cv"}
BASE = "fitted value at x = 16, the middle of the points"
SPEC = {"sweep": "x", "x": "width", "voxels": ["all", "rois"], "n_draws": 1}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two subjects, five nested models; rows before the cut are useless."""
    folder = tmp_path_factory.mktemp("law")
    cells, moments, rows = [], [], []
    for s, subject in enumerate(("UTS01", "UTS02")):
        predicted, observed, _ = nested(SIZES, voxels=30, trs=2000, seed=10 + s)
        observed[:, :50] = predicted[0, :, :50] * 50
        for size, p in zip(SIZES, predicted, strict=True):
            cells.append((f"nested-{size}", 1, subject, 5))
            moments.append(
                write_moments(folder / f"{subject}-{size}.h5", p[None], observed, {"a": 1503, "b": 497})
            )
            rows.append(summary_row(model=f"nested-{size}", subject=subject, width=size, wide=size > 40))
    tables.write("summary", rows, folder / "summary.parquet")
    write_voxels(folder / "voxels.parquet", ["UTS01", "UTS02"], 30, region="AC")
    return {"cells": cells, "moments": moments, "folder": folder, "rows": rows}


def run(study, spec=SPEC, settings=SETTINGS, **changes):
    study, folder = study | changes, study["folder"]
    outputs = [folder / f"{name}-out.parquet" for name in ("law", "points", "curves")]
    paths = folder / "summary.parquet", folder / "voxels.parquet"
    write_law("size", study["cells"], study["moments"], *paths, *outputs, spec, settings)
    return (
        tables.read("laws", outputs[0]).to_pandas(),
        tables.read("law_points", outputs[1]).to_pandas(),
    )


@pytest.fixture(scope="module")
def fitted(study):
    """Laws, points and curves of the study, as they are first fitted."""
    laws, points = run(study)
    return laws, points, tables.read("law_curves", study["folder"] / "curves-out.parquet").to_pandas()


def test_slope_is_recovered_for_each_subject_and_pooled(fitted):
    laws, points, _ = fitted
    row = laws[
        (laws.metric == "r")
        & (laws.voxel_set == "all")
        & (laws.form == "log_linear")
        & (laws.points == "all")
    ].set_index(["subject", "parameter"])
    for subject in ("UTS01", "UTS02", "pooled"):
        slope = row.loc[(subject, "b")]
        assert slope.lo < 0.08 < slope.hi
        assert slope.hi - slope.lo < 0.06
        assert row.loc[(subject, "percent_per_decade"), "base"] == BASE
    assert row.loc[("pooled", "b"), "estimate"] == pytest.approx(
        (row.loc[("UTS01", "b"), "estimate"] + row.loc[("UTS02", "b"), "estimate"]) / 2
    )
    width = [row.loc[(s, "b"), "hi"] - row.loc[(s, "b"), "lo"] for s in ("pooled", "UTS01", "UTS02")]
    assert width[0] < np.mean(width[1:])
    mine = points[(points.subject == "UTS01") & (points.metric == "r") & (points.voxel_set == "all")]
    assert mine.x.tolist() == SIZES.tolist()
    assert (mine.lo < mine.y).all()
    assert (mine.hi > mine.y).all()
    np.testing.assert_allclose(mine.y, 0.05 + 0.08 * np.log10(SIZES), atol=0.05)
    assert set(points.voxel_set) == {"all", "roi:AC"}
    assert not laws.preferred.any(), "five points do not tell the forms apart"
    assert laws[laws.voxel_set == "all"].lacking.isna().all()
    wider = laws[laws.parameter == "b"]
    assert ((wider.lo <= wider.test_lo) & (wider.test_hi <= wider.hi)).all()


def test_each_tenth_of_the_voxels_by_ceiling_has_its_law(study, tmp_path):
    """Later tenths are of voxels with ever larger scores, and so with ever steeper laws."""
    here = study | {"folder": tmp_path}
    narrow = [row | {"wide": False} for row in study["rows"]]
    tables.write("summary", narrow, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["UTS01", "UTS02"], 30, tenths=True)
    laws, points = run(here, SPEC | {"voxels": ["all", "deciles"]})
    tenths = [f"decile:{i}" for i in range(1, 11)]
    assert set(laws.voxel_set) == {"all", *tenths}
    mine = points[(points.metric == "r") & (points.subject == "UTS02")]
    y = mine.pivot(index="voxel_set", columns="x", values="y")
    np.testing.assert_allclose(y.loc[tenths].mean(), y.loc["all"], atol=1e-6, err_msg="three voxels each")
    slope = laws[
        (laws.metric == "r")
        & (laws.subject == "pooled")
        & (laws.form == "log_linear")
        & (laws.parameter == "b")
        & (laws.points == "all")
    ].set_index("voxel_set")
    truth = 0.08 * np.linspace(0.5, 1.5, 30).reshape(10, 3).mean(1)
    held = (slope.loc[tenths].lo < truth) & (truth < slope.loc[tenths].hi)
    assert held.sum() >= 8
    assert np.corrcoef(slope.loc[tenths].estimate, truth)[0, 1] > 0.8


def test_curves_are_the_laws_and_their_bands_hold_them(fitted):
    laws, _, curves = fitted
    key = {"subject": "UTS01", "metric": "r", "voxel_set": "all", "points": "all", "form": "log_linear"}
    curve, law = (t.loc[(t[list(key)] == list(key.values())).all(axis=1)] for t in (curves, laws))
    known = law.set_index("parameter").estimate
    np.testing.assert_allclose(curve.y, known["a"] + known["b"] * np.log10(curve.x))
    assert (curve.lo < curve.y).all()
    assert (curve.y < curve.hi).all()
    assert curve.x.min() < 4
    assert curve.x.max() > 64


def test_wide_points_are_marked_and_left_out_beside(fitted):
    laws, points, _ = fitted
    assert points[points.wide].model.unique().tolist() == ["nested-64"]
    assert set(laws.points) == {"all", "narrow"}
    assert set(laws[laws.points == "narrow"].n_points) == {4}
    assert np.isnan(laws[laws.points == "narrow"].aicc).all(), "four points allow no AICc"


def test_families_have_intercepts_of_their_own(study):
    """Half of the models are said to be of another family, though all scores lie on one line."""
    rows = [row | {"family": "b" if row["width"] in (8, 32) else "nested"} for row in study["rows"]]
    path = study["folder"] / "families.parquet"
    tables.write("summary", rows, path)
    (study["folder"] / "summary.parquet").rename(study["folder"] / "kept.parquet")
    path.rename(study["folder"] / "summary.parquet")
    try:
        laws, _ = run(study, SPEC | {"families": "intercepts"})
    finally:
        (study["folder"] / "kept.parquet").rename(study["folder"] / "summary.parquet")
    mine = laws[(laws.subject == "UTS01") & (laws.metric == "r") & (laws.voxel_set == "all")]
    whole = mine[(mine.group == "all") & (mine.points == "all")]
    assert set(whole.form) == {"log_linear", "saturating"}, "forms with a constant"
    fit = whole[whole.form == "log_linear"].set_index("parameter")
    assert fit.loc["b", "lo"] < 0.08 < fit.loc["b", "hi"]
    assert {"offset:b", "offset:nested"} <= set(fit.index)
    assert fit.loc["offset:b", "lo"] < 0 < fit.loc["offset:b", "hi"]
    assert not mine[mine.group == "nested"].parameter.str.startswith("offset").any()


def test_a_set_without_scores_has_no_law():
    rows, curve = fit_group(
        SIZES.astype(float), np.full((9, 5), np.nan), 1.0, ["log_linear", "power"], 0.9, 9
    )
    assert all(np.isnan(row["estimate"]) and np.isnan(row["lo"]) and not row["preferred"] for row in rows)
    assert all(np.isnan(row["y"]) for row in curve)


def test_same_seed_same_law(study, fitted):
    first, again = fitted[0], run(study)[0]
    assert first.equals(again)


def test_law_of_data_resamples_its_training_draws(study, tmp_path):
    rng = np.random.default_rng(0)
    signal_, noise = rng.normal(size=(2, 20, 1000))
    observed = signal_ + 2 * noise
    cells, moments, rows = [], [], []
    for n_train, draws in ((2, 5), (4, 5), (8, 5), (16, 1)):
        error = rng.normal(size=(draws, 20, 1000)) * 4 / np.sqrt(n_train)
        cells.append(("m", 1, "UTS01", n_train))
        moments.append(write_moments(tmp_path / f"{n_train}.h5", signal_ + error, observed, {"a": 1000}))
        rows += [
            summary_row(
                model="m", subject="UTS01", n_train=n_train, draw=d, train_hours=n_train * (0.1 + d / 100)
            )
            for d in range(draws)
        ]
    tables.write("summary", rows, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["UTS01"], 20)
    laws, points = run(
        {"cells": cells, "moments": moments, "folder": tmp_path},
        {"x": "hours", "voxels": ["all"], "n_draws": 5},
    )
    assert points[points.metric == "r"].n_draws.tolist() == [5, 5, 5, 1]
    assert points.x.tolist()[0] == pytest.approx(2 * 0.12)
    assert set(laws.form) == {"log_linear", "power", "saturating", "learning_curve"}
    assert laws.group.unique().tolist() == ["m"]
    curve = laws[(laws.form == "learning_curve") & (laws.metric == "r2") & (laws.parameter == "c")].iloc[0]
    assert 0.1 < curve.estimate < 0.35, "the truth's r² with responses is 0.2"


def test_points_average_the_draws_of_their_own_sweep(tmp_path):
    """One model's cells are shared with a sweep of more draws; the extra ones do not count."""
    rng = np.random.default_rng(4)
    p, noise = rng.normal(size=(2, 10, 600))  # (voxels, TRs)
    luck = rng.normal(size=(5, 10, 600))
    cells, moments, rows = [], [], []
    for model, draws in (("alone", 2), ("shared", 5)):
        for n_train in (2, 4, 8):
            predicted = p + luck[:draws] * 2 / np.sqrt(n_train)
            predicted[2:] = noise[::-1]  # useless predictions
            cells.append((model, 1, "UTS01", n_train))
            path = tmp_path / f"{model}-{n_train}.h5"
            moments.append(write_moments(path, predicted, p + noise, {"a": 600}))
            known = {"model": model, "subject": "UTS01", "n_train": n_train}
            rows += [summary_row(**known, draw=d, train_hours=n_train + d) for d in range(draws)]
    tables.write("summary", rows, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["UTS01"], 10)
    here = {"cells": cells, "moments": moments, "folder": tmp_path}
    laws, points = run(here, {"x": "hours", "voxels": ["all"], "n_draws": 2})
    assert set(points.n_draws) == {2}
    parts = [table.set_index("group") for table in (points, laws)]
    for part, columns in zip(parts, (["x", "y", "lo", "hi"], ["estimate", "lo", "hi"]), strict=True):
        shared, alone = (part.loc[model, columns].to_numpy() for model in ("shared", "alone"))
        np.testing.assert_allclose(shared, alone, err_msg="draws and their weights are the same")


def test_subjects_with_other_test_stories_are_resampled_apart(tmp_path):
    cells, moments, rows = [], [], []
    for s, (subject, lengths) in enumerate({"A": {"a": 400}, "B": {"b": 700}, "C": {"a": 400}}.items()):
        # A and C differ only in their name.
        predicted, observed, _ = nested(SIZES, voxels=10, trs=sum(lengths.values()), seed=s % 2)
        for size, p in zip(SIZES, predicted, strict=True):
            cells.append((f"nested-{size}", 1, subject, 5))
            moments.append(write_moments(tmp_path / f"{subject}-{size}.h5", p[None], observed, lengths))
            rows.append(summary_row(model=f"nested-{size}", subject=subject, width=size))
    tables.write("summary", rows, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["A", "B", "C"], 10)
    settings = SETTINGS | {"skip_s": 0}
    about = {
        cell: {"model": cell[0], "layer": 1, "n_train": 5, "wide": False, "x": 1.0, "n_draws": 1}
        for cell in cells
    }
    files = dict(zip(cells, moments, strict=True))
    points = score_points(files, about, tmp_path / "voxels.parquet", ["all"], "x", settings)
    assert points_provenance(points, {}, {})["test_blocks"] == {"A": 40, "B": 70, "C": 40}
    y = {subject: mine[0].y["all"][:, 0] for subject, mine in points.items()}
    np.testing.assert_array_equal(y["A"], y["C"])
    assert abs(np.corrcoef(y["A"][1:], y["B"][1:])[0, 1]) < 0.35, "100 resamples of another story"
    pooled, lost = pool(points)
    assert pooled[0].n_blocks == 40
    assert not any(lost.values())
    laws, _ = run({"cells": cells, "moments": moments, "folder": tmp_path}, settings=settings)
    assert set(laws.subject) == {"A", "B", "C", "pooled"}


def test_points_are_the_scores_of_the_summary(tmp_path):
    """A cut that is not a whole number of blocks: 67 TRs of 1.5 s."""
    predicted, observed, _ = nested(SIZES, voxels=10, trs=500, seed=3)
    skip, rows, cells, moments = 67, [], [], []
    for size, p in zip(SIZES, predicted, strict=True):
        cells.append((f"nested-{size}", 1, "A", 5))
        moments.append(
            write_moments(tmp_path / f"{size}.h5", p[None], observed, {"a": 300, "b": 200}, 10, skip)
        )
        rows.append(summary_row(model=f"nested-{size}", subject="A", width=size))
    tables.write("summary", rows, tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["A"], 10)
    here = {"cells": cells, "moments": moments, "folder": tmp_path}
    _, points = run(here, settings=SETTINGS | {"tr_s": 1.5})
    expected = [correlate(p, observed, [300, 200], skip).mean() for p in predicted]
    np.testing.assert_allclose(points[points.metric == "r"].y, expected, atol=1e-6)


@pytest.mark.parametrize("blocks", [12, 30, 1000])
def test_weights_of_draws_make_a_mean_vary_as_its_t_interval_does(blocks):
    """However few the blocks, whose interval reaches further out."""
    weights = draw_weights(5, 40_000, 1, 0.9, blocks)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[0], 0.2)
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    expected = stats.t.interval(0.9, 4, values.mean(), values.std(ddof=1) / np.sqrt(5))
    found = interval(values.mean(), weights[1:] @ values, 0.9, blocks)
    np.testing.assert_allclose(found, expected, atol=0.06)


def test_layer_is_chosen_without_the_test_set():
    """Layers differ only by noise: the best on the test set scores too high, the best by cv does not."""
    rng = np.random.default_rng(3)
    gap = {"cv": [], "test": []}
    for _ in range(300):
        about = {
            ("m", layer, "S", 3): {"mean_cv_r": rng.normal(0.1, 0.02), "mean_r": rng.normal(0.1, 0.02)}
            for layer in range(24)
        }
        for rule, found in gap.items():
            (cell,) = choose_cells(about, "width", rule)
            found.append(about[cell]["mean_r"] - 0.1)
    assert abs(np.mean(gap["cv"])) < 0.005
    assert np.mean(gap["test"]) > 0.03


def test_law_over_models_takes_the_largest_training_set():
    about = {("m", 1, "S", n): {"mean_cv_r": 0.1} for n in (2, 9, 4)}
    assert choose_cells(about, "width", "cv") == [("m", 1, "S", 9)]
    assert len(choose_cells(about, "hours", "cv")) == 3


def test_the_preferred_form_has_the_least_aicc():
    assert preferred_form({"a": 3.0, "b": 2.0, "c": np.nan}) == "b"
    assert preferred_form({"a": np.nan}) is None


def test_mistakes_name_their_key(study, tmp_path):
    with pytest.raises(UserError, match=r"laws\.size\.x: model nested-4 has no parameters"):
        run(study, SPEC | {"x": "parameters"})
    with pytest.raises(UserError, match=r"laws\.size: UTS01 has no voxel set roi:V1"):
        run(study, SPEC | {"voxels": ["roi:V1"]})
    with pytest.raises(UserError, match=r"block_trs: UTS01: the test stories have 0 blocks"):
        run(study, settings=SETTINGS | {"skip_s": 9000})
    with pytest.raises(UserError, match="lacks cell new 1 UTS01 5"):
        run(study, cells=[("new", 1, "UTS01", 5)], moments=["x"])
    fewer = write_moments(tmp_path / "fewer.h5", np.zeros((1, 29, 2000)), np.zeros((29, 2000)), {"a": 2000})
    with pytest.raises(UserError, match=r"fewer\.h5: has other voxels than .*voxels\.parquet"):
        run(study, cells=study["cells"][:1], moments=[fewer])
    predicted, observed, _ = nested(SIZES, voxels=30, trs=1900)
    other = write_moments(tmp_path / "short.h5", predicted[:1], observed, {"a": 1900})
    with pytest.raises(UserError, match=r"short\.h5: was tested on other TRs than"):
        run(study, moments=[*study["moments"][:-1], other])


def test_each_intercept_needs_a_model_more():
    assert minima.lacking(10, 20, 4) == []
    assert minima.lacking(10, 20, 6, 3) == []
    assert minima.lacking(10, 20, 4, 3) == ["4 models of 3 families (6 are needed)"]


def test_what_is_too_little_for_a_conclusion_is_said(study, tmp_path):
    tables.write("summary", study["rows"], tmp_path / "summary.parquet")
    write_voxels(tmp_path / "voxels.parquet", ["UTS01", "UTS02"], 30, region="AC")
    keep = [i for i, cell in enumerate(study["cells"]) if cell[0] in ("nested-4", "nested-8", "nested-16")]
    few = {name: [study[name][i] for i in keep] for name in ("cells", "moments")}
    laws, _ = run(study | few | {"folder": tmp_path})
    assert set(laws[laws.voxel_set == "all"].lacking) == {"3 models (4 are needed)"}
    region = laws[(laws.voxel_set == "roi:AC") & (laws.subject == "UTS01")]
    assert set(region.lacking) == {"15 voxels (20 are needed); 3 models (4 are needed)"}
    assert not laws.preferred.any()
