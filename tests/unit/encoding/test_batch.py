"""A batch of cells: what is finished stays, whoever is killed, and what is read is read once."""

import os
import signal

import numpy as np
import pytest
import torch
from cell_study import STORIES, TEST, made_study, settings_of

from voxscale.dataset.responses import SubjectResponses
from voxscale.encoding import cell_files, cells, fit
from voxscale.encoding.cells import cell_paths, read_index
from voxscale.encoding.data import Features
from voxscale.errors import UserError
from voxscale.features import store
from voxscale.io import write_json

SIZES = {3: 2, 5: 1}  # n_train: draws


class Batch:
    """Files of one model with two layers and of one subject; the draws that were fitted."""

    def __init__(self, folder):
        self.folder, study = folder, made_study(folder)
        self.index, self.fitted = folder / "results/fits/batch.json", []
        write_json(folder / "digest.json", study.sources)
        self.write_features("01", study.x)

    def write_features(self, key, x):
        files = {story: store.feature_path(self.folder / "stories", "m", story, key) for story in x}
        for story, values in x.items():
            store.write_features(files[story], {1: values, 2: np.tanh(values)}, {})
        store.write_feature_index(self.folder / "m.h5", files)

    @property
    def cells(self):
        """model, layer, subject, n_train of each."""
        return [("m", layer, "S1", n) for layer in (1, 2) for n in SIZES]

    def fit(self, cells=None, **settings):
        """Fit cells; gives (layer, n_train, draw) of each fit that was made."""
        names = "model", "layer", "subject", "n_train"
        cells = [dict(zip(names, cell, strict=True)) for cell in cells or self.cells]
        cells = [cell | {"n_draws": SIZES[cell["n_train"]]} for cell in cells]
        files = [self.folder / name for name in ("m.h5", "S1.h5", "S1.parquet", "digest.json")]
        before = len(self.fitted)
        fit.fit_batch(*files, cells, ["set"] * len(cells), settings_of(**settings), self.index)
        return self.fitted[before:]

    def content(self):
        paths = (path for path in (self.folder / "results").rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def path(self, kind, layer, n_train):
        return cell_paths(self.index, {"model": "m", "layer": layer, "subject": "S1", "n_train": n_train})[
            kind
        ]


@pytest.fixture
def batch(tmp_path, monkeypatch):
    made, original = Batch(tmp_path), fit.fit_draw

    def noted(data, draw):
        made.fitted.append((data.cell["layer"], data.cell["n_train"], draw))
        return original(data, draw)

    monkeypatch.setattr(fit, "fit_draw", noted)
    return made


EVERY = [(layer, n, draw) for layer in (1, 2) for n in SIZES for draw in range(SIZES[n])]


@pytest.mark.parametrize("at", [1, 3])
def test_a_killed_batch_goes_on_at_its_next_draw_and_ends_with_the_same_bytes(batch, monkeypatch, at):
    batch.fit()
    whole = batch.content()
    for path in whole:
        (batch.folder / path).unlink()
    torch.set_num_threads(1)
    if not (child := os.fork()):
        original = fit.fit_draw

        def killed(data, draw):
            if len(batch.fitted) == len(EVERY) + at:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(data, draw)

        monkeypatch.setattr(fit, "fit_draw", killed)
        batch.fit()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not batch.index.exists()
    assert batch.fit() == EVERY[at:]
    assert batch.content() == whole


def test_only_a_cell_that_is_missing_damaged_or_another_is_fitted(batch):
    assert batch.fit() == EVERY
    whole = batch.content()
    assert batch.fit() == []
    batch.path("moments", 2, 5).unlink()
    scores = batch.path("scores", 1, 5)
    scores.write_bytes(scores.read_bytes()[:-9])
    assert batch.fit() == [(1, 5, 0), (2, 5, 0)]
    assert batch.content() == whole
    # A size or a layer that is added, or a batch cut otherwise, is a new cell only.
    batch.path("scores", 2, 3).unlink()
    assert batch.fit(batch.cells[:2]) == []
    assert list(read_index(batch.index)) == batch.cells[:2]
    assert batch.fit() == [(2, 3, 0), (2, 3, 1)]
    # What a fit may use tells nothing apart; its settings, features and responses do.
    assert batch.fit(memory_gb=3) == []
    assert batch.fit(batch.cells[:1], skip_s=20) == [(1, 3, 0), (1, 3, 1)]
    x = {story: np.ones((n + 7, 9), np.float32) for story, n in STORIES.items()}
    batch.fit()
    batch.write_features("02", x)
    assert batch.fit(batch.cells[1:2]) == [(1, 5, 0)]
    sources = {"responses": {story: ["of a new scan"] for story in STORIES}, "code": 1}
    write_json(batch.folder / "digest.json", sources)
    assert batch.fit(batch.cells[1:2]) == [(1, 5, 0)]
    write_json(batch.folder / "digest.json", {**sources, "responses": {**sources["responses"], "new": ["x"]}})
    assert batch.fit(batch.cells[1:2]) == [], "a story that the cell does not use"


def test_an_index_of_other_settings_goes_when_its_cells_are_fitted_over(batch):
    batch.fit(batch.cells[:2])
    first, batch.index = batch.index, batch.index.with_name("other.json")
    assert batch.fit(batch.cells[:1]) == []
    assert first.exists(), "the same cells in another batch"
    assert batch.fit(batch.cells[:1], skip_s=20) == [(1, 3, 0), (1, 3, 1)]
    assert not first.exists()
    batch.index = first
    assert batch.fit(batch.cells[:2]) == [(1, 3, 0), (1, 3, 1)], "the settings are changed back"
    assert not batch.index.with_name("other.json").exists()


def test_responses_are_read_once_and_the_features_of_a_layer_once(batch, monkeypatch):
    read = {"responses": [], "features": []}
    of_responses, of_features = SubjectResponses._read, Features.read
    monkeypatch.setattr(
        SubjectResponses, "_read", lambda *given: read["responses"].append(given[1]) or of_responses(*given)
    )

    def noted(features, story):
        if story not in features.held:
            read["features"].append((features.layer, story))
        return of_features(features, story)

    monkeypatch.setattr(Features, "read", noted)
    batch.fit()
    together = batch.content()
    assert sorted(read["responses"]) == sorted(STORIES)
    wide = (1, TEST[0])  # how wide a layer is
    assert sorted(read["features"]) == sorted(
        [wide, *((layer, story) for layer in (1, 2) for story in STORIES)]
    )
    for path in together:
        (batch.folder / path).unlink()
    monkeypatch.setattr(fit, "held_responses", lambda *_: 0.0)
    monkeypatch.setattr(fit, "held_features", lambda *_: 0.0)
    batch.fit()
    assert len(read["responses"]) > 2 * len(STORIES)
    assert batch.content() == together


def test_a_mistake_names_the_cell_and_keeps_those_before_it(batch, monkeypatch):
    def fails(data, draw):
        if data.cell["layer"] == 2:
            raise UserError("S1.h5: cut off")
        return original(data, draw)

    original = fit.fit_draw
    monkeypatch.setattr(fit, "fit_draw", fails)
    with pytest.raises(UserError, match=r"^S1.h5: cut off \(layer 2 n_train 3\)$"):
        batch.fit()
    monkeypatch.setattr(fit, "fit_draw", original)
    assert batch.fit() == EVERY[3:]


def test_files_are_those_that_the_index_names(batch, monkeypatch):
    batch.fit()
    paths = cell_files("scores", [batch.index], reversed(batch.cells))
    assert paths == [batch.path("scores", layer, n) for _, layer, _, n in reversed(batch.cells)]
    with pytest.raises(UserError, match=r"^m 7 S1 3: this cell is in none of the indexes given"):
        cell_files("scores", [batch.index], [("m", 7, "S1", 3)])
    kept = batch.path("moments", 1, 3).read_bytes()
    batch.path("moments", 1, 3).unlink()
    # Another node may see it late.
    monkeypatch.setattr(cells.time, "sleep", lambda _: batch.path("moments", 1, 3).write_bytes(kept))
    assert len(cell_files("moments", [batch.index], batch.cells)) == len(batch.cells)
    batch.path("moments", 1, 3).unlink()
    monkeypatch.setattr(cells, "LATENCY_S", 0)
    with pytest.raises(UserError, match=r"layer=1_n_train=3.h5: no such file; run again"):
        cell_files("moments", [batch.index], batch.cells)
    batch.fit(skip_s=20)
    batch.path("moments", 1, 3).write_bytes(kept)
    with pytest.raises(
        UserError, match=r"is not the file that .*batch.json names; delete .*batch.json and run again"
    ):
        cell_files("moments", [batch.index], batch.cells)
