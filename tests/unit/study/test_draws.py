"""Draws of training stories: nested and seeded, each kept as it ends, so that a killed fit goes on."""

import numpy as np
import pytest
from cell_study import (
    made_study,
)

from voxscale.encoding import data
from voxscale.encoding import fit as encoding
from voxscale.encoding.data import draw_stories
from voxscale.errors import UserError
from voxscale.features import store as feature_store


@pytest.fixture
def study(tmp_path):
    return made_study(tmp_path)


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


def test_draws_that_share_a_kernel_score_as_alone(study, monkeypatch):
    shared = study.fit(n_train=4, n_draws=3, form="dual")
    used = []
    original = data.delayed_kernel
    monkeypatch.setattr(data, "delayed_kernel", lambda *given: used.append(given) or original(*given))
    study.fit(n_train=4, n_draws=3, form="dual")
    assert len(used) == 1
    monkeypatch.setattr(encoding.CellData, "share_kernel", lambda *given: None)
    alone = study.fit(n_train=4, n_draws=3, form="dual")
    np.testing.assert_allclose(shared.r, alone.r, atol=1e-6)
    assert shared.groupby("draw").r.mean().nunique() > 1


def test_a_killed_fit_goes_on_at_its_next_draw(study, monkeypatch):
    whole = study.fit(n_train=3, n_draws=3)
    assert not (study.folder / "moments.h5.draws").exists()
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
    (study.folder / "moments.h5.draws/.draw-2.part.npz").write_bytes(b"half")
    finished = next((study.folder / "moments.h5.draws").glob("draw-0-*.h5"))
    finished.write_bytes(finished.read_bytes()[: finished.stat().st_size // 2])
    monkeypatch.setattr(encoding, "fit_draw", lambda cell, draw: fitted.append(draw) or original(cell, draw))
    again = study.fit(n_train=3, n_draws=3)
    assert fitted == [0, 1, 0, 2]
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
    assert not (study.folder / "moments.h5.draws").exists()
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
    feature_store.write_features(study.folder / "stories/m/a-4567.h5", {2: study.x["a"] + 1}, {})
    links = feature_store.feature_files(study.folder / "m.h5") | {"a": study.folder / "stories/m/a-4567.h5"}
    feature_store.write_feature_index(study.folder / "m.h5", links)
    study.fit(n_train=5)
    assert len(fitted) == 5


def test_what_a_fit_may_use_does_not_tell_draws_apart(study):
    keys = {study.data(**changes).key(0) for changes in ({}, {"memory_gb": 3}, {"device": "auto"})}
    assert len(keys) == 1
    assert study.data(precision="float64").key(0) not in keys
