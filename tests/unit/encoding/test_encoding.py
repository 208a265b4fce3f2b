"""A cell: its scaling, its scores, its predictions and weights, and what is wrong with its files."""

import re

import h5py
import numpy as np
import pytest
from cell_study import COLUMNS, HOME, STORIES, TEST, TRIM, VOXELS, WIDTH, made_study, write_study
from ridge_oracle import delay, fit
from textbook import r_within

from voxscale.dataset.responses import open_subject
from voxscale.encoding.data import Features, TrainingResponses
from voxscale.encoding.predict import predict_cell, weigh_cell
from voxscale.errors import UserError
from voxscale.io import tables
from voxscale.statistics import TimeBlocks, correlations


@pytest.fixture
def study(tmp_path):
    return made_study(tmp_path)


def zscore(x, axis, mean=None, deviation=None):
    x = x.astype(np.float64)
    mean = x.mean(axis, keepdims=True) if mean is None else mean
    return (x - mean) / (x.std(axis, keepdims=True) if deviation is None else deviation)


def by_hand(study, preset):
    """Test r of every voxel, by the definitions, at the alphas that were chosen."""
    training = [s for s in STORIES if s not in TEST]
    cut = {s: v[TRIM[0] : TRIM[0] + STORIES[s]] for s, v in study.x.items()}
    x = np.concatenate([zscore(cut[s], 0) for s in training])
    y = np.concatenate([zscore(study.y[s].T, 0) for s in training])
    if preset == "strict":
        known = np.concatenate([cut[s] for s in training]).astype(np.float64)
        x_test = np.concatenate([(cut[s] - known.mean(0)) / known.std(0) for s in TEST])
        seen = np.concatenate([study.y[s].T for s in training]).astype(np.float64)
        y_test = np.concatenate([(study.y[s].T - seen.mean(0)) / seen.std(0) for s in TEST])
        lengths, test_lengths = [STORIES[s] for s in training], [STORIES[s] for s in TEST]
    else:
        x_test = np.concatenate([zscore(cut[s], 0) for s in TEST])
        y_test = np.concatenate([zscore(study.y[s].T, 0) for s in TEST])
        lengths, test_lengths = [len(x)], [len(x_test)]
    x, x_test = delay(x, lengths, [1, 2]), delay(x_test, test_lengths, [1, 2])
    scores = tables.read("scores", study.folder / "scores.parquet").to_pandas()
    heard = [STORIES[s] for s in TEST]
    expected = []
    for voxel in range(VOXELS):
        predicted = x_test @ fit(x, y[:, [voxel]], scores.alpha[voxel] ** 2)[:, 0]
        y_voxel, first = y_test[:, voxel], slice(heard[0])  # only the first has repeats
        expected.append([r_within(predicted, y_voxel, heard, skip) for skip in (20, 0)])
        expected[-1].append(r_within(predicted[first], y_voxel[first], heard[:1], 20))
    return scores, np.array(expected)


@pytest.mark.parametrize("preset", ["strict", "paper"])
def test_scores_are_what_the_preset_says(study, preset):
    scores = study.fit(preset=preset)
    scores, expected = by_hand(study, preset)
    np.testing.assert_allclose(scores.r, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(scores.r_uncut, expected[:, 1], atol=1e-5)
    np.testing.assert_allclose(scores.r_ceiling, expected[:, 2], atol=1e-5)
    assert scores.r[40:].mean() > 0.3
    assert scores.voxel.tolist() == COLUMNS.tolist()
    assert (scores.train_trs == 250).all()
    assert scores.train_hours[0] == pytest.approx(500 / 3600)
    assert (scores.n_features == 2 * WIDTH).all()
    assert ((scores.p >= 0.01) & (scores.p <= 1)).all()
    assert scores.p[50:].mean() < 0.05 < scores.p[:10].mean()


@pytest.mark.parametrize("preset", ["strict", "paper"])
def test_scores_do_not_depend_on_a_runs_mean(study, preset):
    """A test story whose scan has another baseline in some voxels: no score changes."""
    clean = study.fit(preset=preset)
    y = study.y | {"u": study.y["u"] + 3 * np.linspace(-1, 1, VOXELS)[:, None].astype(np.float32)}
    write_study(study.folder, study.x, y)
    shifted = study.fit(preset=preset)
    for name in ("r", "r_uncut", "cv_r"):
        np.testing.assert_allclose(shifted[name], clean[name], atol=2e-5)
    np.testing.assert_allclose(shifted.p, clean.p, atol=0.011)  # one of 100 permutations, by rounding


def test_presets_differ(study):
    strict, paper = study.fit(preset="strict"), study.fit(preset="paper")
    assert (strict.r != paper.r).all()


def test_moments_hold_the_scores(study):
    scores = study.fit(n_train=3, n_draws=2)
    with h5py.File(study.folder / "moments.h5") as file:
        moments = file["moments"][:]
        blocks = TimeBlocks(file["n"][:], file["story"][:].astype(str), file["start_tr"][:])
    assert blocks.story.tolist() == ["t"] * 7 + ["u"] * 7
    assert moments.shape == (2, 14, 5, VOXELS)
    kept = blocks.kept(20)
    for draw in range(2):
        part = scores[scores.draw == draw]
        r = correlations(moments[draw], blocks)[0]
        np.testing.assert_allclose(r, part.r_uncut, atol=1e-4)
        r = correlations(moments[draw][kept], blocks.take(kept))[0]
        np.testing.assert_allclose(r, part.r, atol=1e-4)


def test_the_test_set_does_not_depend_on_the_training_size(study):
    def counts(n_train):
        study.fit(n_train=n_train)
        with h5py.File(study.folder / "moments.h5") as file:
            return file["n"][:].tolist(), file["story"][:].tolist(), file["start_tr"][:].tolist()

    assert counts(2) == counts(5)


def test_constant_and_nan_voxels_have_no_score(study):
    clean = study.fit()
    y = {story: values.copy() for story, values in study.y.items()}
    for values in y.values():
        values[5] = 3.0
    y["b"][11, 4] = np.nan
    y["t"][17, 60] = np.nan
    y["t"][23], y["u"][23] = 1.0, 1.0
    scores = write_study(study.folder, study.x, y).fit()
    bad = [5, 11, 17, 23]
    assert scores[["r", "r_uncut", "p"]].isna().all(axis=1)[bad].all()
    assert scores.alpha.isna()[[5, 11]].all()
    others = np.delete(np.arange(VOXELS), bad)
    np.testing.assert_allclose(scores.r[others], clean.r[others], atol=1e-6)
    assert not scores.r[others].isna().any()


def test_predictions(study):
    data = study.data()
    scores = study.fit()
    path = study.folder / "predictions.h5"
    predict_cell(data, study.folder / "scores.parquet", path)
    with h5py.File(path) as file:
        oof, test = file["oof"][:], file["test"][:]
        assert file["train_story"][:].astype(str).tolist() == ["a", "b", "c", "d", "e"]
        assert file["train_trs"][:].tolist() == [40, 55, 48, 62, 45]
        assert file["voxel"][:].tolist() == COLUMNS.tolist()
    y = np.concatenate([zscore(study.y[s], 1) for s in "abcde"], 1)
    folds = data.problem(0).folds
    held = np.mean(
        [[np.corrcoef(oof[v, f.held], y[v, f.held])[0, 1] for v in range(VOXELS)] for f in folds], 0
    )
    np.testing.assert_allclose(held, scores.cv_r, atol=1e-5)
    y_test = np.concatenate([study.y[s] for s in TEST], 1)
    r = [r_within(test[v], y_test[v], [STORIES[s] for s in TEST]) for v in range(VOXELS)]
    np.testing.assert_allclose(r, scores.r_uncut, atol=1e-5)


def test_weights_give_the_test_predictions(study):
    y = study.y | {"b": study.y["b"].copy()}
    y["b"][7] = np.nan
    write_study(study.folder, study.x, y)
    study.fit()
    scores, paths = study.folder / "scores.parquet", [study.folder / name for name in ("p.h5", "w.h5")]
    data = study.data()
    predict_cell(data, scores, paths[0])
    weigh_cell(data, scores, paths[1])
    with h5py.File(paths[0]) as predictions, h5py.File(paths[1]) as file:
        test, w = predictions["test"][:], file["weights"][:]
        assert file["delay"][:].tolist() == [1, 2]
        assert file["voxel"][:].tolist() == COLUMNS.tolist()
    assert w.shape == (VOXELS, 2, WIDTH)
    problem = data.problem(0)
    x_test = delay(problem.x_test, problem.test_lengths, problem.delays)
    np.testing.assert_allclose(w.reshape(VOXELS, -1) @ x_test.T, test, atol=1e-5)
    assert np.isnan(w).all((1, 2)).tolist() == [v == 7 for v in range(VOXELS)]


def test_the_guide_predicts_a_story_from_the_weights(study):
    *_, code = re.findall(r"```python\n(.*?)```", (HOME / "docs/export.md").read_text(), flags=re.DOTALL)
    study.fit(n_train=4, n_draws=2)
    data, paths = study.data(n_train=4, n_draws=2), [study.folder / name for name in ("p.h5", "w.h5")]
    predict_cell(data, study.folder / "scores.parquet", paths[0])
    weigh_cell(data, study.folder / "scores.parquet", paths[1])
    with h5py.File(paths[0]) as file:
        expected = file["test"][:, : STORIES["t"]]
        assert file["test_story"].asstr()[0] == "t"
    names = {"weights_file": paths[1], "features_file": study.folder / "m.h5"}
    names |= {"story": "t", "layer": 2, "trim": TRIM}
    exec(compile(code, "docs/export.md", "exec"), names)
    np.testing.assert_allclose(names["predicted"].T, expected, atol=1e-5)
    assert len(names["training"]) == 4


def test_scores_of_another_grid_are_refused(study):
    study.fit()
    data = study.data(alphas={"log10_min": -2.5})
    with pytest.raises(UserError, match="another grid of alphas"):
        predict_cell(data, study.folder / "scores.parquet", study.folder / "p.h5")


def test_features_are_never_cut_to_fit(study):
    x = study.x | {"c": study.x["c"][:-1]}
    broken = write_study(study.folder, x, study.y)
    with pytest.raises(UserError, match=r"story c has 54 rows of features, 47 when .* but 48 response TRs"):
        broken.fit()


def test_a_test_story_in_training_is_refused(study):
    same = write_study(study.folder, study.x, study.y, sha={"t": "same", "b": "same"})
    with pytest.raises(UserError, match="training story b is test story t"):
        same.fit()


def test_a_skip_longer_than_the_test_stories_is_refused(study):
    with pytest.raises(UserError, match=r"scoring\.skip_s: 150 s leave nothing"):
        study.fit(skip_s=150)


def test_test_stories_are_scaled_by_training_alone(study):
    responses = open_subject(study.folder / "S1.h5")
    features = Features(study.folder / "m.h5", 2, responses, TRIM)
    before = features.test(["t"], ["a", "b"], "training")
    y = TrainingResponses(responses, ["a", "b"])
    y[slice(0, 5)]
    y_before = y.test(["t"], slice(0, 5), "training")
    changed = study.x | {"u": study.x["u"] * 9}, study.y | {"u": study.y["u"] * 9}
    write_study(study.folder, *changed)
    responses = open_subject(study.folder / "S1.h5")
    after = Features(study.folder / "m.h5", 2, responses, TRIM).test(["t"], ["a", "b"], "training")
    np.testing.assert_array_equal(before, after)
    y = TrainingResponses(responses, ["a", "b"])
    y[slice(0, 5)]
    np.testing.assert_array_equal(y.test(["t"], slice(0, 5), "training"), y_before)
    assert abs(before.mean()) > 1e-3  # not the story's own mean
    assert abs(features.test(["t"], ["a", "b"], "story").mean()) < 1e-6


def test_silent_voxels_are_called_significant_no_more_often_than_named(tmp_path):
    random = np.random.default_rng(5)
    x = {s: random.standard_normal((n + sum(TRIM), WIDTH)).astype(np.float32) for s, n in STORIES.items()}
    noise = {s: random.standard_normal((VOXELS, n + 1)) for s, n in STORIES.items()}
    y = {s: (v[:, 1:] + v[:, :-1]).astype(np.float32) for s, v in noise.items()}
    p = write_study(tmp_path, x, y).fit(permutations=199).p
    assert (p <= 0.05).sum() <= 9  # 3 expected of 60; more than 9 once in two thousand
    assert p.min() >= 1 / 200


def test_responses_slower_than_a_block_are_named(study, monkeypatch, capsys):
    study.fit()
    assert "detrend" not in capsys.readouterr().err
    monkeypatch.setattr("voxscale.encoding.fit._SLOW", -1.0)
    study.fit()
    assert "WARNING S1: predictions and responses vary so slowly" in capsys.readouterr().err


def test_too_few_blocks_for_a_p_are_named(study, capsys):
    study.fit()
    assert "whole blocks" not in capsys.readouterr().err
    found = study.fit(block_trs=25)
    assert np.isfinite(found.r).all()
    assert found.p.isna().all()
    assert "WARNING S1: its test stories have fewer than 7 whole blocks" in capsys.readouterr().err
