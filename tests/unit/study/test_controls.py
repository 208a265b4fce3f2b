"""The controls of every study: which are added, which the data do not allow, and how to have none."""

from pathlib import Path

import pytest
import yaml
from labs import settings, write_folder

from voxscale.errors import UserError
from voxscale.study import load_study

CONFIG = Path(__file__).parents[3] / "config"
FEATURES = ["word_rate", "phoneme_rate", "mel", "time_since_onset", "autocorrelation"]


def study(dataset=None, models=("tiny-opt-1",), own_models=(), **more):
    demo = yaml.safe_load((CONFIG / "demo.yaml").read_text())
    sweeps = {"size": {"models": list(models)}}
    config = {"dataset": dataset or demo["dataset"], "models": dict(own_models), "sweeps": sweeps}
    return load_study(config | more)


def added(found):
    return found.config["sweeps"]["controls"]["models"]


def test_every_study_has_controls_at_full_size():
    found = study(models=["tiny-opt-1", "nested-4"])
    assert added(found) == [*FEATURES, "tiny-opt-1-untrained"]
    assert found.untrained == ["tiny-opt-1-untrained"]
    twin, model = found.registry["tiny-opt-1-untrained"], found.registry["tiny-opt-1"]
    assert (twin.width, twin.n_layers, twin.build) == (model.width, model.n_layers, model.build)
    cells = [cell for cell in found.grid.cells() if cell.model in added(found)]
    assert {cell.subject for cell in cells} == set(found.subjects)
    assert {cell.n_train for cell in cells} == {12}
    assert found.notes == []
    assert {cell.model for cell in found.map_cells} == {"tiny-opt-1"}


def test_the_smallest_and_the_middle_model_of_a_family_have_twins():
    models = ["tiny-opt-4", "tiny-opt-1", "tiny-opt-3", "tiny-llama-2", "tiny-llama-1", "tiny-hubert-2"]
    twins = [f"{m}-untrained" for m in ("tiny-opt-1", "tiny-opt-3", "tiny-llama-1", "tiny-hubert-2")]
    assert study(models=models).untrained == twins
    assert study(models=models, controls={"untrained": "all"}).untrained == [f"{m}-untrained" for m in models]
    assert study(models=models, controls={"untrained": ["tiny-opt-3"]}).untrained == ["tiny-opt-3-untrained"]


def test_a_study_may_have_none_or_its_own():
    none = study(controls={"features": [], "untrained": "none"})
    assert "controls" not in none.config["sweeps"]
    sweeps = {"size": {"models": ["tiny-opt-1"]}, "controls": {"models": ["mel"]}}
    assert added(study(sweeps=sweeps)) == ["mel"]


def test_an_entry_of_the_twin_s_name_is_taken():
    assert study().registry["tiny-opt-1-untrained"].seed == 0
    own = {"tiny-opt-1-untrained": {"like": "tiny-opt-1", "untrained": True, "seed": 7}}
    assert study(own_models=own).registry["tiny-opt-1-untrained"].seed == 7


def test_what_the_data_do_not_allow_is_left_out_and_reported(tmp_path):
    """A lab with words only: no sounds, and one transcript without phones."""
    write_folder(tmp_path)
    found = study(settings(tmp_path, "folder"), scoring={"skip_s": 10})
    assert added(found) == ["word_rate", "time_since_onset", "autocorrelation", "tiny-opt-1-untrained"]
    assert [note.split(":")[0] for note in found.left_out] == [
        "The control phoneme_rate is left out",
        "The control mel is left out",
    ]
    assert found.notes[:2] == found.left_out
    assert found.notes[2:] == [
        "bob has no responses to swim.",
        "5 folds (encoding.folds.n), fewer training stories (anna 2, bob 1): each is a fold.",
    ]
    assert f"{tmp_path}/words/walk.tsv has no phones" in found.notes[0]
    assert f"{tmp_path}/sounds/" in found.notes[1]
    assert not any(found.hears(model) for model in found.grid.used_models)


def test_a_lab_with_all_has_all(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "words/walk.tsv").unlink()
    (tmp_path / "words/walk.TextGrid").write_bytes((tmp_path / "words/swim.TextGrid").read_bytes())
    (tmp_path / "sounds").mkdir()
    for story in ("walk", "swim", "exam"):
        (tmp_path / f"sounds/{story}.wav").write_text("a sound")
    found = study(settings(tmp_path, "folder"), scoring={"skip_s": 10})
    assert added(found)[:5] == FEATURES
    assert found.hears("mel")


@pytest.mark.parametrize(
    ("controls", "line"),
    [
        ({"features": ["loudness"]}, "controls.features: loudness is not a control; there are word_rate"),
        ({"features": ["tiny-opt-2"]}, "controls.features: tiny-opt-2 is not a control"),
        ({"untrained": ["tiny-opt-2"]}, "controls.untrained: tiny-opt-2 is not a trained model in a sweep"),
    ],
)
def test_mistakes_name_their_key(controls, line):
    with pytest.raises(UserError, match=line):
        study(controls=controls)
