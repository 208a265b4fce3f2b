"""Designs without a repeated test story: what a study makes of them, and what it refuses at once."""

from types import SimpleNamespace

import numpy as np
import pytest

from voxscale.dataset.geometry import Volume
from voxscale.errors import UserError
from voxscale.jobs.fits import fitting
from voxscale.jobs.sizes import Sizes
from voxscale.study import fit_settings, load_study
from voxscale.study.checks import require_one_space

SUBJECTS = ["UTS01", "UTS02", "UTS03"]


def study(test, **more):
    """A study of the published data, which need not be here."""
    dataset = {"kind": "ds003020", "root": "ds003020", "subjects": SUBJECTS, "defects": "published"}
    config = {
        "dataset": dataset | {"test_stories": test},
        "encoding": {"memory_gb": 64},
        "sweeps": {"sizes": {"models": ["opt-125m"], "layers": [9], "n_train": [5, "all"], "draws": 2}},
        "controls": {"features": [], "untrained": "none"},
        "laws": {},
    }
    return load_study(config | more, gpu=False)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_all_stories_are_those_that_every_fold_has():
    found = study({"folds": 5})
    stories = {subject: len(found.heard(subject)) for subject in SUBJECTS}
    assert found.grid.stories == {subject: n - -(-n // 5) for subject, n in stories.items()}
    (caution,) = found.cautions
    assert "in turn, in folds (UTS01 5, UTS02 5, UTS03 5)" in caution
    assert caution in found.notes
    assert set(found.training_stories) == set(found.stories)  # of components, where each story is tested on
    assert "ceiling_stories" not in fit_settings(found)


def test_components_are_fitted_to_all_stories_of_named_folds_too():
    found = study({"folds": [["life"], ["souls"]]})
    assert set(found.training_stories) == set(found.stories)


def test_folds_multiply_the_cost_of_a_fit():
    costs = {}
    for test in ("fixed", "folds"):
        one = study(["wheretheressmoke"] if test == "fixed" else {"folds": 5})
        cells = [cell for cell in one.grid.cells() if cell.subject == "UTS01"]
        costs[test] = [fitting(Sizes(one), [cell]) for cell in cells]
    for fixed, folds in zip(costs["fixed"], costs["folds"], strict=True):
        assert 2.5 < folds.seconds * folds.threads / (fixed.seconds * fixed.threads) < 9
        assert folds.disk_mb > 5 * fixed.disk_mb  # moments of all stories


def test_test_stories_of_each_subject_go_with_it():
    test = {"UTS01": ["life"], "UTS02": ["souls"], "UTS03": ["wheretheressmoke"]}
    found = study(test)
    assert [found.dataset.test(subject) for subject in SUBJECTS] == list(test.values())
    assert not set(found.training_stories) & {"life", "souls", "wheretheressmoke"}
    partial = study(test, partial={"subjects": {"UTS02": "not finished"}})
    assert partial.subjects == ["UTS01", "UTS03"]


@pytest.mark.parametrize(
    ("test", "more", "line"),
    [
        (
            {"folds": "each"},
            {"stacking": {"members": [{"model": "opt-125m", "layer": 9}]}},
            r"stacking\.members: needs fixed test stories, but dataset\.test_stories has folds",
        ),
        (
            ["life"],
            {"ceiling": {"kind": "subjects"}},
            r"ceiling\.kind: subjects: each subject has voxels of its",
        ),
        (
            {"UTS01": ["life"], "UTS02": ["souls"], "UTS03": ["life"]},
            {"ceiling": {"kind": "subjects"}},
            "needs a test story that all subjects heard",
        ),
        (
            ["life"],
            {"ceiling": {"kind": "subjects"}, "partial": {"subjects": {"UTS02": "not finished"}}},
            "needs 3 subjects, the study has 2",
        ),
    ],
)
def test_what_a_design_cannot_have_ends_in_one_line(test, more, line):
    with pytest.raises(UserError, match=line):
        study(test, **more)


@pytest.mark.parametrize(
    ("size_mm", "line"),
    [(2, r"set config key dataset\.fmriprep\.mask to one mask for all"), (3, "needs responses in one space")],
)
def test_brain_masks_of_one_grid_need_one_mask_for_all(size_mm, line):
    inside = {"01": [1, 1, 1], "02": [1, 1, 0]}
    sizes = {"01": 2, "02": size_mm}

    def geometry(subject):
        return Volume("MNI", np.array([[inside[subject]]], bool), np.diag([*[sizes[subject]] * 3, 1.0]))

    study = SimpleNamespace(dataset=SimpleNamespace(kind="fmriprep", geometry=geometry))
    with pytest.raises(UserError, match=f"voxels of 02 are not those of 01.*{line}"):
        require_one_space(study, list(inside), "config key ceiling.kind: subjects")
