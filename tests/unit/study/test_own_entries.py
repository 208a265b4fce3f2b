"""Entries of features of one's own, their files before the first job, and laws over columns of one's own."""

import json

import numpy as np
import pytest
import yaml
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.jobs import figures_of, load_jobs
from voxscale.models import load_registry
from voxscale.study import law_spec, load_study, model_settings

STORIES = ["nightbaker", "beekeeping", "thelasttrain", "wintercrossing", "thelighthousekeeper"]
MINE = {"modality": "features", "path": "mine/{story}.npy", "at": "words"}
GLOVE = {"modality": "embeddings", "path": "glove.txt"}
DEEP = {"modality": "features", "path": "deep/{layer:02}/{story}.npy", "at": "trs"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Files of three models: arrays of 3 columns, vectors of 2, and layers 3 and 12 of 5."""
    monkeypatch.chdir(tmp_path)
    for folder, shape in {"mine": (6, 3), "deep/03": (60, 5), "deep/12": (60, 5)}.items():
        (tmp_path / folder).mkdir(parents=True)
        for story in STORIES:
            np.save(f"{folder}/{story}.npy", np.ones(shape))
    (tmp_path / "glove.txt").write_text("the 1 2\n")
    return tmp_path


def config(models, **law):
    full = tiny_config() | {"models": models}
    full["sweeps"] = {"size": {"models": list(models), "layers": {"depth": 0.5}}}
    full["laws"] = {"size": {"sweep": "size"} | law} if law else {}
    return full


def test_layers_and_width_are_those_of_the_files(home):
    study = load_study(config({"mine": MINE, "glove": GLOVE, "deep": DEEP}))
    known = {
        slug: (e.width, list(e.all_layers))
        for slug in ("mine", "glove", "deep")
        for e in [study.registry[slug]]
    }
    assert known == {"mine": (3, [0]), "glove": (2, [0]), "deep": (5, [3, 12])}
    assert {cell[:2] for cell in study.grid.cells()} == {("mine", 0), ("glove", 0), ("deep", 3)}
    assert study.local_weights("deep")[:2] == ["deep/03/beekeeping.npy", "deep/12/beekeeping.npy"]
    assert {cell.model for cell in study.map_cells} == {"deep"}  # the widest
    assert {cell.model for cell in study.reference_cells} == {"mine", "glove", "deep"}


def test_jobs_of_own_features_cost_no_network_and_no_weights(home):
    (home / "study.yaml").write_text(yaml.safe_dump(config({"mine": MINE, "glove": GLOVE})))
    jobs = load_jobs("study.yaml")
    own = [job for job in jobs.all() if job.rule in ("extract_own_features", "prepare_model")]
    assert len(own) == 4
    assert all(jobs.need(job).gpus == 0 and jobs.need(job).memory_mb < 1000 for job in own)
    assert jobs.study.published_models == []


def test_the_cards_of_other_models_know_nothing_of_it(home):
    study = load_study(tiny_config() | {"models": {"tiny-opt-1": {"columns": {"tokens": "3e11"}}}})
    settings = model_settings(study, "tiny-opt-1")
    assert not {"at", "layers", "columns"} & settings.keys()


ENTRIES = {
    "models.m.path: is missing; modality features needs a path with {story} in it": {"path": None},
    "models.m.path: a.npy must contain {story}": {"path": "a.npy"},
    "models.m.path: .* has braces other than {story}, .*; remove {subject}": {
        "path": "{subject}/{story}.npy"
    },
    "models.m.at: None does not say when the rows are; write words, trs": {"at": None},
    "models.m.at: {'rate_hz': 0} does not say": {"at": {"rate_hz": 0}},
    "models.m.columns: hours is a column of the workflow's own": {"columns": {"hours": 3}},
    "models.m.columns: train_hours is a column of": {"columns": {"train_hours": 3}},
    "models.m.columns.tokens: 'many' must be a number": {"columns": {"tokens": "many"}},
    "models.m.at: is of modality features only": {"modality": "control", "control": "mel", "path": None},
}


@pytest.mark.parametrize("line", ENTRIES)
def test_an_entry_that_cannot_be_is_named(line):
    with pytest.raises(UserError, match=line.replace("{", r"\{").replace("(", r"\(")):
        load_registry({"m": MINE | ENTRIES[line]})


def test_files_that_are_missing_or_numbered_otherwise_are_named(home):
    (home / "mine/beekeeping.npy").rename(home / "mine/Beekeeping.npy")
    with pytest.raises(
        UserError, match=r"no file mine/beekeeping.npy; .* none of beekeeping; there is Beekeep"
    ):
        load_study(config({"mine": MINE}))
    (home / "mine/beekeeping.npy").symlink_to(".git/annex/objects/x")
    with pytest.raises(UserError, match=r"mine/beekeeping.npy: is a git-annex link .*; run `datalad get`"):
        load_study(config({"mine": MINE}))
    plain = DEEP | {"path": "deep/{layer}/{story}.npy"}
    with pytest.raises(UserError, match=r"no file deep/3/beekeeping.npy; .* write \{layer:02\}"):
        load_study(config({"deep": plain}))


def test_rows_are_compared_with_words_and_trs_before_the_first_job(home):
    study = load_study(config({"deep": DEEP}))
    study.examine()  # the phantom's stories are not written yet
    clocks = study.dataset.clocks
    clocks.parent.mkdir(parents=True)
    clocks.write_text(json.dumps(dict.fromkeys(STORIES, 80)))
    for story in STORIES:
        study.dataset.transcript(story).parent.mkdir(parents=True, exist_ok=True)
        study.dataset.transcript(story).touch()
    load_study(config({"deep": DEEP})).examine()
    np.save("deep/12/nightbaker.npy", np.ones((61, 5)))
    with pytest.raises(
        UserError, match=r"deep/12/nightbaker.npy: has 61 rows, but the story has 60 response TRs"
    ):
        load_study(config({"deep": DEEP})).examine()


def sized(*sizes, x="tokens", **more):
    entries = {f"m{i}": {"like": "tiny-opt-1", "columns": {"tokens": size}} for i, size in enumerate(sizes)}
    return config(entries | more, x=x)


def test_a_law_may_run_over_a_column_of_one_s_own():
    study = load_study(sized("3e9", 3.0e10, 300_000_000_000) | {"plateau": {}})
    assert law_spec(study, "size")["columns"] == {"m0": 3e9, "m1": 3e10, "m2": 3e11}
    assert study.chief_laws == {}
    figure = figures_of(study)["law_size"]
    assert figure.inputs(study)["law_points"] == [{"law": "size"}]
    assert figure.inputs(study)["summary"] == [{"selection": "size"}]
    labelled = sized(1, 2, 3)
    labelled["laws"]["size"]["x_label"] = "training tokens"
    study = load_study(labelled)
    assert figures_of(study)["law_size"].options(study)["x_label"] == "training tokens"
    assert "x_label" not in law_spec(study, "size")


def test_parameters_of_own_features_are_those_that_the_user_gives(home):
    models = {f"m{i}": MINE | {"columns": {"parameters": 10**i}} for i in range(3)}
    study = load_study(config(models, x="parameters"))
    assert law_spec(study, "size")["columns"] == {"m0": 1, "m1": 10, "m2": 100}
    load_study(config(models, x="stories") | {"laws": {}})
    with pytest.raises(
        UserError, match=r"no parameters_non_embedding of m0, m1, m2; .* give it under models.m0.columns"
    ):
        load_study(config(models, x="parameters_non_embedding"))
    assert load_study(config({**models, "glove": GLOVE, "deep": DEEP}, x="width"))


@pytest.mark.parametrize(
    ("full", "line"),
    [
        (
            sized(1, 2, 3, other={"like": "tiny-opt-2"}),
            "laws.size.x: no tokens of other; leave them out .* or give it under models.other.columns",
        ),
        (sized(1, 2, 3, x="token"), r"laws.size.x: no model has token; .* \(did you mean tokens\?\)"),
        (sized(1, 2, 3, x="parametres"), r"no model has parametres; .* \(did you mean parameters"),
        (sized(1, 0, 3), "models.m1.columns.tokens: is 0; a law needs values above 0"),
        (sized(1, 2, 2), "sweep size has 2 different tokens, a law needs 3"),
    ],
)
def test_a_law_needs_x_of_every_model(full, line):
    with pytest.raises(UserError, match=line):
        load_study(full)
