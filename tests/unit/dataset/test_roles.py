"""Which stories a subject is trained and tested on: fixed, by subject, or held out in turn."""

import pytest

from voxscale.dataset.roles import assign, folds_of, roles_of, training_of
from voxscale.errors import UserError
from voxscale.study.config import require_schema

HEARD = [f"s{i}" for i in range(11)]


def test_test_stories_of_each_subject():
    test = {"A": ["s1"], "B": ["s2", "s3"]}
    assert assign("A", HEARD[:4], test, "all") == (["s0", "s2", "s3"], [["s1"]])
    assert assign("B", HEARD[:4], test, ["s0"]) == (["s0"], [["s2", "s3"]])


@pytest.mark.parametrize(("folds", "sizes"), [(5, [3, 2, 2, 2, 2]), ("each", [1] * 11), (2, [6, 5])])
def test_each_story_is_held_out_once(folds, sizes):
    training, found = assign("A", HEARD, {"folds": folds}, "all")
    assert training == HEARD
    assert sorted(story for fold in found for story in fold) == sorted(HEARD)
    assert [len(fold) for fold in found] == sizes
    assert all(len(training_of(training, fold)) == 11 - len(fold) for fold in found)


def test_folds_depend_on_names_and_seed_alone():
    folds = assign("A", HEARD, {"folds": 4}, "all")[1]
    assert assign("B", HEARD, {"folds": 4, "seed": 0}, "all")[1] == folds
    assert assign("A", HEARD[::-1], {"folds": 4}, "all")[1] == [fold[::-1] for fold in folds]
    assert assign("A", HEARD, {"folds": 4, "seed": 1}, "all")[1] != folds


def test_folds_by_name_leave_the_others_for_training():
    training, folds = assign("A", HEARD[:5], {"folds": [["s0", "s3"], ["s1"], ["s9"]]}, "all")
    assert (training, folds) == (HEARD[:5], [["s0", "s3"], ["s1"]])
    roles = roles_of(training, folds)
    assert roles == {"s0": "fold 1", "s1": "fold 2", "s2": "train", "s3": "fold 1", "s4": "train"}
    assert folds_of(roles) == (training, folds)
    many = assign("A", HEARD, {"folds": "each"}, "all")
    assert folds_of(roles_of(*many)) == many
    assert folds_of(roles_of(["s0"], [["s1", "s2"]])) == (["s0"], [["s1", "s2"]])


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ({"folds": 12}, r"test_stories\.folds: 12 folds, but A heard 11 stories"),
        ({"folds": [["s1", "s2"], ["s2"]]}, "s2 is in two folds"),
        ({"folds": [["t1"], ["t2"]]}, "A heard no story of any fold"),
        ({"A": ["t1"]}, "test_stories: A heard none of them"),
    ],
)
def test_folds_that_cannot_be_made(test, line):
    with pytest.raises(UserError, match=line):
        assign("A", HEARD, test, "all")


@pytest.mark.parametrize("test", [["a"], {"A": ["a"]}, {"folds": 3, "seed": 1}, {"folds": [["a"], ["b"]]}])
def test_the_schema_takes_every_form(test):
    config = {"kind": "folder", "root": "r", "subjects": ["A"], "test_stories": test}
    require_schema({"dataset": config}, keys=["dataset"])


@pytest.mark.parametrize("test", [{"folds": 1}, {"folds": "all"}, {"fold": 3}, {"folds": 3, "A": ["a"]}, {}])
def test_the_schema_refuses_what_is_none(test):
    config = {"kind": "folder", "root": "r", "subjects": ["A"], "test_stories": test}
    with pytest.raises(UserError, match=r"dataset\.test_stories"):
        require_schema({"dataset": config}, keys=["dataset"])
