"""A cell: its draws, its scaling, its scores, its resumption, and what is wrong with its files."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from ridge_oracle import delay, fit

from voxscale import encoding, feature_store, tables
from voxscale.bootstrap import correlations
from voxscale.cell_data import Features, TrainingResponses, draw_stories
from voxscale.config import merge, read_yaml
from voxscale.errors import UserError
from voxscale.responses import open_subject

HOME = Path(__file__).parents[2]
STORIES = {"a": 40, "b": 55, "c": 48, "d": 62, "e": 45, "t": 70, "u": 64}
TEST = ["t", "u"]
VOXELS, WIDTH, TRIM = 60, 9, (4, 3)
COLUMNS = np.arange(VOXELS) * 2 + 1  # the dataset's own numbers of the voxels that were kept


def settings_of(preset="strict", **changes):
    presets = read_yaml(HOME / "config/presets.yaml")[preset]
    given = {
        "delays": [1, 2],
        "form": "auto",
        "precision": "float32",
        "screen": "auto",
        "device": "cpu",
        "memory_gb": 2,
        "seed": 3,
        "block_trs": 10,
        "permutations": 99,
        "tr_s": 2.0,
        "trim": list(TRIM),
    }
    full = {**presets["encoding"], **presets["scoring"], **given, "skip_s": 40}
    full["folds"] = {**full["folds"], "n": 3, "chunk_trs": 8}
    return merge(full, changes)


@dataclass
class Study:
    """Files of one subject and one model, and what is in them."""

    folder: Path
    x: dict
    y: dict

    def arguments(self, n_train=5, n_draws=1, **changes):
        cell = {"model": "m", "layer": 2, "subject": "S1", "n_train": n_train, "n_draws": n_draws}
        return {
            "features": self.folder / "m.h5",
            "responses": self.folder / "S1.h5",
            "subject_table": self.folder / "S1.parquet",
            "cell": cell,
            "settings": settings_of(**changes),
        }

    def fit(self, **changes):
        outputs = {
            "scores_out": self.folder / "scores.parquet",
            "moments_out": self.folder / "moments.h5",
            "scratch": self.folder / "scratch",
        }
        encoding.fit_cell(**self.arguments(**changes), **outputs)
        return tables.read("scores", self.folder / "scores.parquet").to_pandas()


def write_study(folder, x, y, sha=None):
    files = {}
    for story, values in x.items():
        files[story] = feature_store.story_path(folder / "stories", "m", story, "0123")
        feature_store.write_story(files[story], {2: values}, {})
    feature_store.write_index(folder / "m.h5", files)
    with h5py.File(folder / "S1.h5", "w") as file:
        file.attrs.update(format="voxscale-responses-1", provenance="{}")
        file.attrs.update(stories=json.dumps(list(STORIES)), test_stories=json.dumps(TEST))
        file["voxels"] = COLUMNS.astype(np.int32)
        for story, values in y.items():
            group = file.create_group(story)
            group["data"] = values
            group.attrs.update(n_trs=values.shape[1], n_repeats=0)
    rows = [
        {
            "subject": "S1",
            "story": story,
            "role": "test" if story in TEST else "train",
            "n_tr": n,
            "hours": n / 1800,
            "n_words": 100,
            "stimulus_sha": (sha or {}).get(story, story),
        }
        for story, n in STORIES.items()
    ]
    tables.write("subjects", rows, folder / "S1.parquet")
    return Study(folder, x, y)


@pytest.fixture
def study(tmp_path):
    """Five training and two test stories; responses with an offset and a scale of their own."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((WIDTH, VOXELS)) * np.linspace(0, 0.6, VOXELS)
    x, y = {}, {}
    for story, n in STORIES.items():
        x[story] = (random.standard_normal((n + sum(TRIM), WIDTH)) * 3 + 5).astype(np.float32)
        driven = np.roll(x[story], 1, 0)[TRIM[0] : TRIM[0] + n] @ weights
        noise = 2 * random.standard_normal((n, VOXELS))
        y[story] = (7 + 4 * (driven + noise)).T.astype(np.float32)
    return write_study(tmp_path, x, y)


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
    rows = np.concatenate([np.arange(STORIES[s]) >= 20 for s in TEST])
    expected = []
    for voxel in range(VOXELS):
        predicted = x_test @ fit(x, y[:, [voxel]], scores.alpha[voxel] ** 2)[:, 0]
        expected.append(
            (
                np.corrcoef(predicted[rows], y_test[rows, voxel])[0, 1],
                np.corrcoef(predicted, y_test[:, voxel])[0, 1],
            )
        )
    return scores, np.array(expected)


@pytest.mark.parametrize("preset", ["strict", "paper"])
def test_scores_are_what_the_preset_says(study, preset):
    scores = study.fit(preset=preset)
    scores, expected = by_hand(study, preset)
    np.testing.assert_allclose(scores.r, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(scores.r_uncut, expected[:, 1], atol=1e-5)
    assert scores.r[40:].mean() > 0.3
    assert scores.voxel.tolist() == COLUMNS.tolist()
    assert (scores.train_trs == 250).all()
    assert scores.train_hours[0] == pytest.approx(500 / 3600)
    assert (scores.n_features == 2 * WIDTH).all()
    assert ((scores.p >= 0.01) & (scores.p <= 1)).all()
    assert scores.p[50:].mean() < 0.05 < scores.p[:10].mean()


def test_presets_differ(study):
    strict, paper = study.fit(preset="strict"), study.fit(preset="paper")
    assert (strict.r != paper.r).all()


def test_moments_hold_the_scores(study):
    scores = study.fit(n_train=3, n_draws=2)
    with h5py.File(study.folder / "moments.h5") as file:
        moments, n, start = file["moments"][:], file["n"][:], file["start_tr"][:]
        assert file["story"][:].astype(str).tolist() == ["t"] * 7 + ["u"] * 7
    assert moments.shape == (2, 14, 5, VOXELS)
    kept = start >= 20
    for draw in range(2):
        part = scores[scores.draw == draw]
        r = correlations(moments[draw].astype(np.float64).sum(0), n.sum())
        np.testing.assert_allclose(r, part.r_uncut, atol=1e-4)
        r = correlations(moments[draw][kept].astype(np.float64).sum(0), n[kept].sum())
        np.testing.assert_allclose(r, part.r, atol=1e-4)


def test_draws_are_nested_seeded_and_the_same_for_every_model():
    training = [f"s{i}" for i in range(20)]
    for draw in range(5):
        small, large = (draw_stories(training, n, draw, 0) for n in (5, 12))
        assert set(small) < set(large)
        assert small == sorted(small, key=training.index)
        assert small == draw_stories(training, 5, draw, 0)
    assert len({tuple(draw_stories(training, 5, draw, 0)) for draw in range(5)}) == 5
    assert draw_stories(training, 5, 0, 0) != draw_stories(training, 5, 0, 1)
    assert draw_stories(training, 20, 3, 0) == training
    with pytest.raises(UserError, match="21 training stories asked for, 20 there"):
        draw_stories(training, 21, 0, 0)


def test_the_test_set_does_not_depend_on_the_training_size(study):
    def counts(n_train):
        study.fit(n_train=n_train)
        with h5py.File(study.folder / "moments.h5") as file:
            return file["n"][:].tolist(), file["story"][:].tolist(), file["start_tr"][:].tolist()

    assert counts(2) == counts(5)


def test_draws_that_share_a_kernel_score_as_alone(study, monkeypatch):
    shared = study.fit(n_train=4, n_draws=3, form="dual")
    used = []
    original = encoding.Kernel.of
    monkeypatch.setattr(encoding.Kernel, "of", lambda *given: used.append(given) or original(*given))
    study.fit(n_train=4, n_draws=3, form="dual")
    assert len(used) == 1
    monkeypatch.setattr(encoding.Cell, "share_kernel", lambda *given: None)
    alone = study.fit(n_train=4, n_draws=3, form="dual")
    np.testing.assert_allclose(shared.r, alone.r, atol=1e-6)
    assert shared.groupby("draw").r.mean().nunique() > 1


def test_a_killed_fit_goes_on_at_its_next_draw(study, monkeypatch):
    whole = study.fit(n_train=3, n_draws=3)
    assert not (study.folder / "scratch").exists()
    original, fitted = encoding.fit_draw, []

    def killed(cell, draw):
        if draw == 2:
            raise KeyboardInterrupt
        fitted.append(draw)
        return original(cell, draw)

    monkeypatch.setattr(encoding, "fit_draw", killed)
    (study.folder / "scores.parquet").unlink()
    with pytest.raises(KeyboardInterrupt):
        study.fit(n_train=3, n_draws=3)
    assert not (study.folder / "scores.parquet").exists()
    # What a kill leaves half-written is not taken for a finished draw.
    (study.folder / "scratch/.draw-2.part.npz").write_bytes(b"half")
    monkeypatch.setattr(encoding, "fit_draw", lambda cell, draw: fitted.append(draw) or original(cell, draw))
    again = study.fit(n_train=3, n_draws=3)
    assert fitted == [0, 1, 2]
    assert again.equals(whole)


def test_two_jobs_of_one_cell_do_not_harm_each_other(study, monkeypatch):
    whole, original = study.fit(n_train=3, n_draws=3), encoding.fit_draw

    def overtaken(cell, draw):
        found = original(cell, draw)
        if draw == 1:  # the other job, begun as early, is done and takes the scratch folder away
            monkeypatch.setattr(encoding, "fit_draw", original)
            study.fit(n_train=3, n_draws=3)
            monkeypatch.setattr(encoding, "fit_draw", overtaken)
        return found

    monkeypatch.setattr(encoding, "fit_draw", overtaken)
    assert study.fit(n_train=3, n_draws=3).equals(whole)
    assert not (study.folder / "scratch").exists()
    assert not list(study.folder.glob("**/*.part*"))


def test_finished_draws_of_other_settings_are_not_taken(study, monkeypatch):
    original, fitted = encoding.fit_draw, []
    monkeypatch.setattr(encoding, "fit_draw", lambda cell, draw: fitted.append(draw) or original(cell, draw))
    monkeypatch.setattr(encoding.shutil, "rmtree", lambda path, **_: None)  # as if killed after the last draw
    study.fit(n_train=3, n_draws=2)
    study.fit(n_train=3, n_draws=2)
    assert fitted == [0, 1]
    study.fit(n_train=3, n_draws=2, skip_s=20)
    assert fitted == [0, 1, 0, 1]
    feature_store.write_story(study.folder / "stories/m/a-4567.h5", {2: study.x["a"] + 1}, {})
    links = feature_store.links(study.folder / "m.h5") | {"a": study.folder / "stories/m/a-4567.h5"}
    feature_store.write_index(study.folder / "m.h5", links)
    study.fit(n_train=5)
    assert len(fitted) == 5


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
    arguments = study.arguments()
    scores = study.fit()
    path = study.folder / "predictions.h5"
    encoding.predict_cell(**arguments, scores=study.folder / "scores.parquet", predictions_out=path)
    with h5py.File(path) as file:
        oof, test = file["oof"][:], file["test"][:]
        assert file["train_story"][:].astype(str).tolist() == ["a", "b", "c", "d", "e"]
        assert file["train_trs"][:].tolist() == [40, 55, 48, 62, 45]
        assert file["voxel"][:].tolist() == COLUMNS.tolist()
    y = np.concatenate([zscore(study.y[s], 1) for s in "abcde"], 1)
    folds = encoding.Cell(*arguments.values()).problem(0).folds
    held = np.mean(
        [[np.corrcoef(oof[v, f.held], y[v, f.held])[0, 1] for v in range(VOXELS)] for f in folds], 0
    )
    np.testing.assert_allclose(held, scores.cv_r, atol=1e-5)
    y_test = np.concatenate([study.y[s] for s in TEST], 1)
    r = [np.corrcoef(test[v], y_test[v])[0, 1] for v in range(VOXELS)]
    np.testing.assert_allclose(r, scores.r_uncut, atol=1e-5)


def test_weights_give_the_test_predictions(study):
    arguments = study.arguments()
    y = study.y | {"b": study.y["b"].copy()}
    y["b"][7] = np.nan
    write_study(study.folder, study.x, y)
    study.fit()
    scores, paths = study.folder / "scores.parquet", [study.folder / name for name in ("p.h5", "w.h5")]
    encoding.predict_cell(**arguments, scores=scores, predictions_out=paths[0])
    encoding.weigh_cell(**arguments, scores=scores, weights_out=paths[1])
    with h5py.File(paths[0]) as predictions, h5py.File(paths[1]) as file:
        test, w = predictions["test"][:], file["weights"][:]
        assert file["delay"][:].tolist() == [1, 2]
        assert file["voxel"][:].tolist() == COLUMNS.tolist()
    assert w.shape == (VOXELS, 2, WIDTH)
    problem = encoding.Cell(*arguments.values()).problem(0)
    x_test = delay(problem.x_test, problem.test_lengths, problem.delays)
    np.testing.assert_allclose(w.reshape(VOXELS, -1) @ x_test.T, test, atol=1e-5)
    assert np.isnan(w).all((1, 2)).tolist() == [v == 7 for v in range(VOXELS)]


def test_what_a_fit_may_use_does_not_tell_draws_apart(study):
    keys = {
        encoding.Cell(*study.arguments(**changes).values()).key(0)
        for changes in ({}, {"memory_gb": 3}, {"device": "auto"})
    }
    assert len(keys) == 1
    assert encoding.Cell(*study.arguments(precision="float64").values()).key(0) not in keys


def test_scores_of_another_grid_are_refused(study):
    study.fit()
    arguments = study.arguments(alphas={"log10_min": -2.5})
    with pytest.raises(UserError, match="another grid of alphas"):
        encoding.predict_cell(
            **arguments, scores=study.folder / "scores.parquet", predictions_out=study.folder / "p.h5"
        )


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
