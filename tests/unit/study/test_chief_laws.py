"""Which law a figure shows follows from what the law runs over, not from its name."""

from pathlib import Path

import pytest
import yaml

from voxscale.jobs import figures_of
from voxscale.study import load_study

CONFIG = Path(__file__).parents[3] / "config"
LANGUAGE = {"sweep": "language_size", "x": "parameters"}


def study(laws, **more):
    demo = yaml.safe_load((CONFIG / "demo.yaml").read_text())
    return load_study(demo | {"laws": laws} | more)


@pytest.mark.parametrize(
    ("kind", "law", "figure"),
    [
        ("language", LANGUAGE, "score_by_language_model_size"),
        ("speech", {"sweep": "speech_size", "x": "width"}, "score_by_speech_model_size"),
        ("training", {"sweep": "training_size", "x": "stories"}, "score_by_training_hours"),
    ],
)
def test_any_name_has_its_figure(kind, law, figure):
    found = study({"mine": law})
    assert found.chief_laws == {kind: "mine"}
    assert figure in figures_of(found)
    assert figures_of(found)[figure].options(found)["law"] == "mine"
    assert ("plateau" in figures_of(found)) == (kind == "language")


def test_the_first_of_a_kind_is_shown():
    found = study({"b": LANGUAGE, "a": LANGUAGE | {"x": "width"}})
    assert found.chief_laws == {"language": "b"}
    assert list(found.plateau_arms) == ["b"]


def test_models_of_other_kinds_have_no_figure_of_size():
    assert study({"language": {"sweep": "nested", "x": "width"}}).chief_laws == {}


def test_the_arm_follows_its_law():
    found = study({"mine": LANGUAGE}, plateau={"width": 16})
    assert list(found.plateau_arms) == ["mine", "mine_fixed"]
    assert found.chief_laws == {"language": "mine"}
