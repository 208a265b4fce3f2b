"""Which results are exported: by target and by the options of the command line."""

import pytest
import yaml
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.jobs import chosen_exports, export_named, load_jobs, record_of
from voxscale.jobs.exports import exports_of


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    config = tiny_config()
    config["sweeps"]["depth"] = {"models": ["tiny-opt-1"], "layers": "all"}
    config["profiles"] = {"sweep": "depth"}
    config["comparisons"] = {"two": {"a": {"model": "tiny-opt-1"}, "b": {"model": "word_rate"}}}
    config["banded"] = {"both": {"bands": [{"model": "tiny-opt-1"}, {"model": "word_rate"}]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield load_jobs("study.yaml").study


def test_each_result_of_a_subject_has_one_target(study):
    names = [export.name for export in exports_of(study, "UTS02")]
    assert names == [
        *("model-tiny-opt-1_layer-2_n-4", "comparison-two", "desc-ceiling"),
        *("model-tiny-opt-1_layer-best_n-4", "desc-regions"),
    ]
    jobs = list(record_of("export_images").jobs(study))
    assert len(jobs) == 2 * len(names)
    for job in jobs:
        assert export_named(study, **job).name == job["maps"]


def test_a_target_names_any_fit(study):
    for name in ("model-word_rate_layer-0_n-2", "model-banded-both_layer-0_n-4"):
        export = export_named(study, "UTS01", name)
        assert (export.kind, export.name) == ("scores", name)
    with pytest.raises(UserError, match=r"tiny-opt-1_layer-9_n-4: the study has no such result; did you"):
        export_named(study, "UTS01", "model-tiny-opt-1_layer-9_n-4")


def test_a_result_that_is_not_made_yet_names_its_target(study):
    (export,) = chosen_exports(study, "differences", "UTS01")
    with pytest.raises(
        UserError, match=r"^results/comparisons/two\.parquet: is not made .*UTS01/comparison-two`"
    ):
        export.require()


def test_options_choose_a_fit(study):
    (export,) = chosen_exports(study, "scores", "UTS01", "tiny-opt-1", n_train=2)
    assert export.name == "model-tiny-opt-1_layer-2_n-2"
    assert [export.subject for export in chosen_exports(study, "scores", model="word_rate")] == study.subjects
    assert chosen_exports(study, "scores", "UTS01", "tiny-opt-1", layer=1)[0].cells[0].layer == 1


def test_a_study_without_a_ceiling_exports_none(study, monkeypatch):
    monkeypatch.setitem(study.__dict__, "ceiling_kind", "none")
    assert "desc-ceiling" not in [export.name for export in exports_of(study, "UTS01")]
    with pytest.raises(UserError, match="the study has no noise ceiling"):
        chosen_exports(study, "ceilings")
    monkeypatch.setitem(study.__dict__, "ceiling_kind", "repeats")
    monkeypatch.setattr(study.dataset, "has_repeats", lambda subject: subject == "UTS02")
    names = {subject: [export.name for export in exports_of(study, subject)] for subject in study.subjects}
    assert [subject for subject in names if "desc-ceiling" in names[subject]] == ["UTS02"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"what": "score"}, "what to export: score is not there; did you mean scores"),
        ({"what": "scores", "subject": "UTS1"}, "--subject: UTS1 is not there; did you mean UTS01"),
        ({"what": "scores", "layer": 1}, "--model: is missing"),
        ({"what": "scores", "model": "opt"}, "--model: opt is not there; .*there are banded-both, tiny-"),
        ({"what": "scores", "model": "word_rate", "n_train": 3}, "--n-train: 3 is not there; there are 2, 4"),
        ({"what": "scores", "model": "tiny-opt-1", "layer": 7}, "--layer: 7 is not there; there are 0, 1, 2"),
        ({"what": "ceilings", "model": "word_rate"}, "--model: is not an option of ceilings"),
        ({"what": "differences", "comparison": "tow"}, "--comparison: tow is not there; there are two"),
    ],
)
def test_a_wrong_option_says_what_there_is(study, options, said):
    with pytest.raises(UserError, match=said):
        chosen_exports(study, **options)
