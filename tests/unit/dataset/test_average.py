"""The mean of subjects: its values, the study that it is the subject of, and what ends in one line."""

import shutil

import numpy as np
import pytest
from labs import write_folder

from voxscale.dataset import Member, open_subject, prepare_responses
from voxscale.errors import UserError
from voxscale.jobs.rules import RULES
from voxscale.jobs.sizes import Sizes
from voxscale.study import load_study

STORIES = ("walk", "exam")  # swim is heard by anna only


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    return root, write_folder(root)


@pytest.fixture
def lab(home, tmp_path):
    shutil.copytree(home[0], tmp_path / "lab")
    return tmp_path / "lab"


def study(root, more=None, **dataset):
    config = {
        "dataset": {
            **{"kind": "folder", "root": str(root), "subjects": ["anna", "bob"], "average": "mean"},
            **{"test_stories": ["exam"], "tr_s": 1.5, "trim": [0, 0], "voxels": None, **dataset},
        },
        "encoding": {"delays": [1, 2]},
        "scoring": {"skip_s": 0, "block_trs": 5},
        "sweeps": {"size": {"models": ["word_rate"]}},
        "controls": {"features": [], "untrained": "none"},
        "laws": {},
    }
    return load_study(config | (more or {}), gpu=False)


def parameters(found):
    """Parameters of the job that prepares the mean."""
    rule = RULES["prepare_responses"]
    return {name: of(found, {"subject": "mean"}) for name, of in rule.params.items()}


def prepare(root, path, **more):
    given = parameters(study(root))
    members = [Member(**member) for member in given["members"]]
    prepare_responses(path, given["sources"], given["clocks"], given["test"], members=members, **more)
    return open_subject(path)


def unit(x, of=None):
    of = x if of is None else of
    return (x - of.mean(0)) / of.std(0)


def test_the_mean_is_of_z_scored_responses_and_repeats(home, tmp_path, capsys):
    root, truth = home
    mean = prepare(root, tmp_path / "mean.h5")
    assert mean.stories == list(STORIES)
    assert mean.ceiling_stories == ["exam"]
    for story in STORIES:
        expected = (unit(truth["anna", story]) + unit(truth["bob", story])) / 2
        np.testing.assert_allclose(mean.read(story).T, expected, atol=1e-5)
    repeats = [np.load(root / f"responses/{who}/exam.npz")["repeats"] for who in ("anna", "bob")]
    for i in range(4):
        expected = sum(unit(each[i], each.mean(0)) for each in repeats) / 2
        # A repeat keeps its own mean over TRs, so that the repeats' mean is the data.
        np.testing.assert_allclose(mean.repeats("exam")[i].T, expected, atol=1e-5)
    assert "WARNING" not in capsys.readouterr().err


def test_a_voxel_without_values_or_change_in_one_subject_has_none(lab, tmp_path):
    values = np.load(lab / "responses/bob/walk.npz")["data"]
    values[3, 0], values[:, 1] = np.nan, 7
    np.savez(lab / "responses/bob/walk.npz", data=values)
    mean = prepare(lab, tmp_path / "mean.h5").read("walk")
    assert np.isnan(mean).all(1).tolist() == [True, True, False, False, False]
    assert np.isfinite(mean[2:]).all()


def test_without_as_many_repeats_in_each_subject_there_are_none(lab, tmp_path):
    whole = np.load(lab / "responses/bob/exam.npz")
    np.savez(lab / "responses/bob/exam.npz", data=whole["data"], repeats=whole["repeats"][:3])
    mean = prepare(lab, tmp_path / "mean.h5")
    assert mean.n_repeats("exam") == 0
    assert mean.ceiling_stories == []


def test_the_mean_is_the_studys_only_subject(home):
    root, _ = home
    found = study(root)
    assert found.subjects == ["mean"]
    assert {cell.subject for cell in found.grid.cells()} == {"mean"}
    assert found.heard("mean") == list(STORIES)
    assert found.stories == list(STORIES)
    assert found.ceiling_kind == "repeats"
    crossed = study(root, test_stories={"folds": "each"})
    assert sorted(crossed.dataset.folds("mean")) == [["exam"], ["walk"]]  # of what all heard
    assert len(found.response_sources("mean")["walk"]) == 2  # digests are of both
    assert any("mean is the mean of anna, bob" in note for note in found.examine())
    assert Sizes(found).voxels("mean") == 5
    rule = RULES["prepare_responses"]
    assert [job["subject"] for job in rule.jobs(found)] == ["mean"]
    assert rule.need(Sizes(found), subject="mean").disk_mb


@pytest.mark.parametrize(
    ("dataset", "more", "line"),
    [
        ({"average": "bob"}, {}, "dataset.average: bob is in dataset.subjects"),
        ({"subjects": ["anna"]}, {}, "dataset.average: a mean needs two subjects"),
        ({"keep": "none"}, {}, "dataset.keep: a mean must be kept"),
        ({"test_stories": {"anna": ["exam"], "bob": ["walk"]}}, {}, "test_stories: .* give one list"),
        ({"test_stories": ["swim"]}, {}, "test_stories: not all subjects have story swim"),
        (
            {},
            {"sweeps": {"size": {"models": ["word_rate"], "subjects": ["anna"]}}},
            r"sweeps\.size\.subjects: anna is fitted as part of mean only .* write mean",
        ),
        ({}, {"ceiling": {"kind": "subjects"}}, "needs 3 subjects, the study has 1"),
        ({}, {"partial": {"subjects": {"bob": "late"}}}, r"partial\.subjects: a mean is of all subjects"),
        ({}, {"partial": {"subjects": {"mean": "late"}}}, r"partial\.subjects: no subject remains"),
    ],
)
def test_what_a_mean_cannot_have_ends_in_one_line(home, dataset, more, line):
    with pytest.raises(UserError, match=line):
        study(home[0], more, **dataset)


def test_subjects_with_other_voxels_end_in_one_line(lab, tmp_path):
    for story in STORIES:
        values = np.load(lab / f"responses/bob/{story}.npz")["data"]
        np.savez(lab / f"responses/bob/{story}.npz", data=np.tile(values, 2))
    for call in (study(lab).examine, lambda: prepare(lab, tmp_path / "mean.h5")):
        with pytest.raises(UserError, match=r"bob/walk\.npz: has 10 voxels, .*anna/walk\.npz 5, or others"):
            call()


def test_voxel_tables_must_keep_the_same(lab):
    for who, keep in (("anna", "yes"), ("bob", "no")):
        rows = "".join(f"{i}\t{keep if i == 0 else 'yes'}\n" for i in range(5))
        (lab / f"{who}.tsv").write_text("voxel\tkeep\n" + rows)
    with pytest.raises(UserError, match=r"bob\.tsv: its column keep is not that of .*anna\.tsv"):
        study(lab, voxels=str(lab / "{subject}.tsv")).examine()


def test_the_phantoms_subjects_have_no_mean():
    with pytest.raises(UserError, match=r"dataset\.average: each subject has voxels of its own"):
        study(
            "data", kind="ds003020", subjects=["UTS01", "UTS02"], test_stories=["wheretheressmoke"], tr_s=2.0
        )
