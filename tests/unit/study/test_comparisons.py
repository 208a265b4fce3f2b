"""The two fits of a comparison: resolved in each subject, and a mistake is one line."""

import pytest
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.study import load_study


def loaded(a, b, **more):
    sweeps = {
        "size": {"models": ["tiny-opt-1"], "layers": [1, 2], "n_train": [2, "all"]},
        "one": {"models": ["word_rate"], "subjects": ["UTS02"]},
        "mel": {"models": ["mel"], "subjects": ["UTS01"]},
    }
    return load_study(tiny_config() | {"sweeps": sweeps, "comparisons": {"two": {"a": a, "b": b}}, **more})


def test_each_subject_that_has_both_fits_is_compared():
    study = loaded(
        {"model": "tiny-opt-1", "layer": 1}, {"model": "tiny-opt-1", "layer": "last", "n_train": 2}
    )
    cells = study.comparison("two")
    assert list(cells) == ["UTS01", "UTS02"]
    assert cells["UTS02"] == (("tiny-opt-1", 1, "UTS02", 4), ("tiny-opt-1", 2, "UTS02", 2))
    assert study.selections["comparison-two"] == [cell for both in cells.values() for cell in both]
    (one,) = loaded({"model": "tiny-opt-1", "layer": 1}, {"model": "word_rate"}).comparison("two").values()
    assert one[1] == ("word_rate", 0, "UTS02", 4)


def test_a_fit_of_another_study_need_not_be_one_of_this():
    study = loaded(
        {"model": "tiny-opt-1", "layer": 1}, {"model": "tiny-opt-1", "layer": 0, "results": "other"}
    )
    assert {cell.layer for cell in study.selections["comparison-two"]} == {1}


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (
            {"model": "tiny-opt-1", "layer": 0},
            {"model": "mel"},
            "two.a: no sweep fits layer 0 .* layers 1, 2",
        ),
        ({"model": "tiny-opt-1", "layer": 1, "n_train": 3}, {"model": "mel"}, "of 2, 4 stories"),
        ({"model": "tiny-opt-2"}, {"model": "mel"}, "two.a: tiny-opt-2 is in no sweep"),
        ({"model": "tiny-opt-9"}, {"model": "mel"}, "two.a: unknown model tiny-opt-9"),
        ({"model": "mel"}, {"model": "word_rate"}, "two: no subject has both"),
        ({"model": "mel"}, {"model": "mel"}, "a and b are the same fit"),
        ({"model": "mel", "results": "x"}, {"model": "mel"}, "exchange a and b"),
        ({"model": "mel"}, {}, "comparisons.two.b: 'model' is a required property"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_one_line(a, b, said):
    with pytest.raises(UserError, match=said) as error:
        loaded(a, b)
    assert "\n" not in str(error.value)
