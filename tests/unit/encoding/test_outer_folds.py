"""Outer cross-validation: each story is held out once, and nothing of it is in the fit that predicts it."""

import h5py
import numpy as np
import pytest
from cell_study import STORIES, TRIM, VOXELS, made_study, write_study
from ridge_oracle import delay, fit
from textbook import r_within

from voxscale.encoding import MomentsFile
from voxscale.encoding import fit as encoding
from voxscale.encoding.folds import keep_fold
from voxscale.encoding.predict import predict_cell
from voxscale.errors import UserError

FOLDS = [["a", "t"], ["b", "u"], ["c"], ["d"]]  # e is only trained on
ROLES = {story: f"fold {i}" for i, fold in enumerate(FOLDS, start=1) for story in fold} | {"e": "train"}


@pytest.fixture
def study(tmp_path):
    made = made_study(tmp_path)
    return write_study(tmp_path, made.x, made.y, roles=ROLES)


def standard(x, axis=0):
    x = x.astype(np.float64)
    return (x - x.mean(axis, keepdims=True)) / x.std(axis, keepdims=True)


def by_hand(study, voxel, alphas):
    """Predictions of each story (scaled to variance 1 in its fold) and its responses, by the definitions."""
    x = {s: v[TRIM[0] : TRIM[0] + STORIES[s]] for s, v in study.x.items()}
    predicted, observed = [], []
    for fold, alpha in zip(FOLDS, alphas, strict=True):
        training = [s for s in STORIES if s not in fold]
        known = np.concatenate([x[s] for s in training]).astype(np.float64)
        seen = np.concatenate([study.y[s][voxel] for s in training]).astype(np.float64)
        train = delay(
            np.concatenate([standard(x[s]) for s in training]), [STORIES[s] for s in training], [1, 2]
        )
        y = np.concatenate([standard(study.y[s][voxel]) for s in training])
        test = np.concatenate([(x[s] - known.mean(0)) / known.std(0) for s in fold])
        p = delay(test, [STORIES[s] for s in fold], [1, 2]) @ fit(train, y[:, None], alpha**2)[:, 0]
        parts = np.split(p, np.cumsum([STORIES[s] for s in fold])[:-1])
        scored = np.concatenate([part[20:] - part[20:].mean() for part in parts])
        predicted += [part / np.sqrt((scored**2).mean()) for part in parts]
        observed += [(study.y[s][voxel] - seen.mean()) / seen.std() for s in fold]
    return np.concatenate(predicted), np.concatenate(observed)


def test_a_score_is_over_all_stories_each_predicted_by_the_others(study, tmp_path):
    scores, data = study.fit(n_train=5), study.data(n_train=5)
    paths = [tmp_path / f"{fold}.h5" for fold in range(len(FOLDS))]
    for fold, path in enumerate(paths):
        keep_fold(data, 0, fold, path)
    alphas = np.stack([h5py.File(path)["alpha"][:] for path in paths])
    held = np.stack([h5py.File(path)["cv_r"][:] for path in paths])
    lengths = [STORIES[s] for fold in FOLDS for s in fold]
    for voxel in (3, 30, VOXELS - 1):
        p, y = by_hand(study, voxel, alphas[:, voxel])
        assert scores.r[voxel] == pytest.approx(r_within(p, y, lengths, 20), abs=1e-5)
        assert scores.r_uncut[voxel] == pytest.approx(r_within(p, y, lengths, 0), abs=1e-5)
    np.testing.assert_allclose(scores.cv_r, held.mean(0), atol=1e-6)
    np.testing.assert_allclose(scores.alpha, np.exp(np.log(alphas).mean(0)), rtol=1e-5)
    assert set(scores.alpha_edge) <= {-1, 0, 1}
    assert scores.r[40:].mean() > 0.3
    # All training stories of a fold: 7 stories less one or two, of 384 TRs.
    assert (scores.train_trs == round(384 - sum(lengths) / 4)).all()
    opened = MomentsFile(study.folder / "moments.h5")
    assert opened.blocks.crossed
    assert list(dict.fromkeys(opened.blocks.story)) == [s for fold in FOLDS for s in fold]


def test_folds_of_other_sizes_are_trained_on_equally_many_stories(study, tmp_path):
    """Folds named by the user: one of them holds out all stories but one."""
    assert [len(study.data(n_train=5).stories(0, fold)) for fold in range(4)] == [5, 5, 6, 6]
    roles = {story: "fold 2" if story == "a" else "fold 1" for story in STORIES}
    made = write_study(tmp_path, study.x, study.y, roles=roles)
    one = [made.data(n_train=1).stories(0, fold) for fold in range(2)]
    assert one[0] == ["a"]
    assert len(one[1]) == 1
    assert one[1][0] != "a"


def test_nothing_of_a_held_out_story_is_in_its_fit(study, tmp_path):
    def prediction(made, name):
        keep_fold(made.data(n_train=4, n_draws=3), 2, 2, tmp_path / name)
        with h5py.File(tmp_path / name) as file:
            return {key: file[key][:] for key in file}

    before = prediction(study, "before.h5")
    changed = study.y | {"c": np.random.default_rng(9).standard_normal(study.y["c"].shape).astype(np.float32)}
    after = prediction(write_study(study.folder, study.x, changed, roles=ROLES), "after.h5")
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])


def test_folds_that_share_a_kernel_score_as_alone(study, monkeypatch):
    shared = study.fit(n_train=4, form="dual", alphas={"n": 3})
    monkeypatch.setattr(encoding.CellData, "share_kernel", lambda *given: None)
    alone = study.fit(n_train=4, form="dual", alphas={"n": 3})
    np.testing.assert_allclose(shared.r, alone.r, atol=1e-6)


def test_a_killed_fit_goes_on_at_its_next_fold(study, monkeypatch):
    whole, original, fitted = study.fit(n_train=1, n_draws=2), encoding.keep_fold, []

    def noted(data, draw, fold, path):
        fitted.append((draw, fold))
        if len(fitted) == 7:
            raise KeyboardInterrupt
        original(data, draw, fold, path)

    monkeypatch.setattr(encoding, "keep_fold", noted)
    with pytest.raises(KeyboardInterrupt):
        study.fit(n_train=1, n_draws=2)
    scratch = study.folder / "moments.h5.draws"
    assert len(list(scratch.glob("draw-0-fold-*"))) == 0, "a finished draw needs its folds no more"
    assert study.fit(n_train=1, n_draws=2).equals(whole)
    assert fitted == [*((0, fold) for fold in range(4)), *((1, fold) for fold in (0, 1, 2, 2, 3))]
    assert not scratch.exists()


def test_a_voxel_that_one_fold_cannot_fit_has_no_score(study):
    y = {story: values.copy() for story, values in study.y.items()}
    y["e"][7, 3] = np.nan
    y["c"][11] = 2.0  # constant where it is tested, and in one of the training stories of the others
    scores = write_study(study.folder, study.x, y, roles=ROLES).fit(n_train=5)
    assert scores[["r", "p", "alpha"]].isna().all(axis=1).tolist() == [v == 7 for v in range(VOXELS)]


def test_predictions_of_a_draw_with_folds_are_refused(study):
    with pytest.raises(UserError, match="test_stories: has folds, but predictions and weights"):
        predict_cell(study.data(n_train=5), study.folder / "scores.parquet", study.folder / "p.h5")
