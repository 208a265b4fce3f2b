"""Datasets by config: who heard what, where things are, and what is wrong, before any job runs."""

import json
from pathlib import Path

import pytest

from voxscale.dataset.kind_ds003020 import TABLES
from voxscale.dataset.kind_phantom import PROSE
from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.manifest import read_manifest
from voxscale.errors import UserError


def published(tmp_path="data", **changes):
    config = {
        "kind": "ds003020",
        "root": str(tmp_path),
        "subjects": ["UTS01", "UTS02", "UTS03"],
        "test_stories": ["wheretheressmoke"],
        "training_stories": "all",
        "defects": "published",
    }
    return open_dataset(config | changes, "marks")


def test_the_published_dataset_is_planned_without_its_files():
    dataset = published()
    dataset.check()
    assert [len(dataset.training(subject)) for subject in dataset.subjects] == [82, 83, 83]
    assert all(dataset.test(subject) == ["wheretheressmoke"] for subject in dataset.subjects)
    assert dataset.excluded("UTS01") == {"treasureisland": "the run is corrupt"}
    assert "treasureisland" in dataset.training("UTS02")
    assert len(dataset.stories) == 84
    assert sum(dataset.n_trs(story) for story in dataset.stories) == 28_088
    assert dataset.n_trs("wheretheressmoke") == 291


@pytest.mark.parametrize(
    ("subject", "stories"),
    [("UTS04", 26), ("UTS05", 27), ("UTS06", 27), ("UTS07", 27), ("UTS08", 27), ("UTS09", 54)],
)
def test_subjects_have_their_own_stories(subject, stories):
    dataset = published(subjects=[subject])
    assert len(dataset.training(subject)) + 1 == stories
    assert ("life" in dataset.training(subject)) == (subject != "UTS04")


def test_what_was_used_is_reported_story_by_story():
    whole = published(subjects=["UTS01", "UTS02", "UTS04"]).story_table()
    rows = {row["story"]: row for row in whole}
    assert len(rows) == len(whole) == 85
    site = "scanned at another site than the other subjects"
    assert list(rows["all stories"].items())[1:] == [("UTS01", ""), ("UTS02", site), ("UTS04", "")]
    assert rows["treasureisland"] == {
        "story": "treasureisland",
        "UTS01": "left out (the run is corrupt)",
        "UTS02": "train",
        "UTS04": "–",
    }
    assert rows["life"]["UTS04"] == "– (never published for this subject)"
    assert set(rows["wheretheressmoke"].values()) == {"wheretheressmoke", "test"}
    few = published(subjects=["UTS03"], training_stories=["souls"]).story_table()
    assert few[0]["story"] != "all stories"  # nothing is known against them
    assert sorted(row["UTS03"] for row in few) == ["not used"] * 82 + ["test", "train"]


def test_files_to_fetch_are_exactly_those_needed(tmp_path):
    dataset = published(tmp_path, training_stories=["souls", "legacy"], subjects=["UTS03"])
    assert {part: len(dataset.needed(part)) for part in dataset.parts} == {
        "transcripts": 4,  # three stories and the TR counts
        "sounds": 3,
        "UTS03": 3,
        "pycortex-UTS03": 25,
    }
    names = {Path(remote.path).stem for remote in dataset.needed("UTS03")}
    assert names == {"souls", "legacy", "wheretheressmoke"}
    smoke = next(remote for remote in dataset.needed("UTS03") if "smoke" in remote.path)
    # 11 series of (291, 95556) float64, and the header.
    assert 0 < smoke.size - 11 * 291 * 95_556 * 8 < 10_000


def test_rules_wait_for_marks_not_for_published_files(tmp_path):
    dataset = published(tmp_path)
    assert dataset.story_inputs("souls") == [Path("marks/transcripts.json")]
    assert dataset.audio_inputs("souls") == [Path("marks/sounds.json")]
    assert dataset.response_inputs("UTS02") == [Path("marks/transcripts.json"), Path("marks/UTS02.json")]
    assert dataset.transcript("souls") == tmp_path / "derivative/TextGrids/souls.TextGrid"
    assert dataset.response("UTS02", "souls") == [tmp_path / "derivative/preprocessed_data/UTS02/souls.hf5"]


def test_the_tables_of_the_published_dataset_agree():
    manifest = read_manifest(TABLES / "manifest.tsv")
    trs = json.loads((TABLES / "respdict.json").read_text())
    sessions = json.loads((TABLES / "sess_to_story.json").read_text())
    assert len(manifest) == 851
    assert len(trs) == 84
    for story in trs:
        assert f"derivative/TextGrids/{story}.TextGrid" in manifest
        assert f"stimuli/{story}.wav" in manifest
    assert {story for training, _ in sessions.values() for story in training} <= set(trs)


def test_roles_never_overlap():
    dataset = published(test_stories=["wheretheressmoke", "fromboyhoodtofatherhood"])
    for subject in dataset.subjects:
        assert not set(dataset.training(subject)) & set(dataset.test(subject))
        assert set(dataset.training(subject)) | set(dataset.test(subject)) == set(dataset.heard(subject))


def test_a_test_story_that_one_subject_lacks_is_left_out_for_it():
    dataset = published(subjects=["UTS03", "UTS04"], test_stories=["wheretheressmoke", "life"])
    assert dataset.test("UTS03") == ["life", "wheretheressmoke"]
    assert dataset.test("UTS04") == ["wheretheressmoke"]


def test_stories_held_out_in_turn_are_trained_on_as_well():
    dataset = published(subjects=["UTS01", "UTS04"], test_stories={"folds": 4})
    for subject in dataset.subjects:
        assert dataset.training(subject) == dataset.heard(subject)
        assert sorted(dataset.test(subject)) == sorted(dataset.heard(subject))
        assert dataset.n_training(subject) == min(
            len(dataset.heard(subject)) - len(fold) for fold in dataset.folds(subject)
        )
    row = next(row for row in dataset.story_table() if row["story"] == "souls")
    assert row["UTS01"].startswith("fold ")


def test_the_phantom_is_planned_before_it_is_written(tmp_path):
    stories = sorted(path.stem for path in PROSE.glob("*.txt"))
    config = {
        "kind": "phantom",
        "root": str(tmp_path / "phantom"),
        "subjects": ["UTS01"],
        "test_stories": stories[:1],
    }
    dataset = open_dataset(config)
    dataset.check()
    assert dataset.training("UTS01") == stories[1:]
    assert dataset.n_trs(stories[0]) is None
    assert dataset.story_inputs(stories[0]) == [dataset.transcript(stories[0]), dataset.clocks]
    few = open_dataset(config | {"training_stories": stories[3:5]})
    assert few.stories == [*stories[3:5], stories[0]]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


MANIFEST = "path\tbytes\talgorithm\tdigest\n"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"subjects": ["UTS10"]}, "dataset.subjects: ds003020 has no UTS10; it has UTS01, "),
        (
            {"test_stories": ["onapproachtopluto"]},
            "test_stories: no subject of the config has story onapproach",
        ),
        ({"training_stories": ["soul"]}, "training_stories: no subject of the config has story soul"),
        ({"training_stories": ["souls", "wheretheressmoke"]}, "wheretheressmoke is in training and in test"),
        ({"subjects": ["UTS04"], "training_stories": ["life"]}, "no subject of the config has story life"),
        (
            {"subjects": ["UTS03", "UTS04"], "training_stories": ["life"]},
            "training_stories: UTS04 heard none of them",
        ),
        (
            {"subjects": ["UTS03", "UTS04"], "test_stories": ["life"]},
            "test_stories: UTS04 heard none of them",
        ),
        ({"test_stories": {"UTS1": ["life"]}}, "UTS1 is not in dataset.subjects; .*UTS01"),
        (
            {"subjects": ["UTS01", "UTS02"], "test_stories": {"UTS01": ["life"]}},
            "UTS02 has no test stories; give it a list",
        ),
        (
            {"kind": "phantom", "defects": None, "test_stories": {"folds": 2}},
            "the phantom's truth is that of",
        ),
        ({"subjects": ["UTS01"], "test_stories": ["treasureisland"]}, "and the table of known defects"),
        ({"defects": "nowhere.tsv"}, "nowhere.tsv: no such file"),
        ({"kind": "phantom"}, "dataset.defects: no table was published for phantom; give a file of your own"),
    ],
)
def test_configs_that_cannot_work_end_in_one_line(changes, line):
    with pytest.raises(UserError, match=line) as error:
        published(**changes).check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("subject\tstory\twhat\n", "lacks column exclude"),
        ("subject\tstory\twhat\texclude\nUTS01\tsouls\tnoise\tmaybe\n", "line 2: exclude is 'maybe'"),
        ("subject\tstory\twhat\texclude\nUTS01\tsouls\tnoise\n", "line 2 has 3 cells, the header has 4"),
    ],
)
def test_bad_tables_of_defects_end_in_one_line(tmp_path, content, line):
    with pytest.raises(UserError, match=line):
        published(defects=write(tmp_path / "defects.tsv", content)).check()


def test_defects_of_all_subjects_and_of_all_stories(tmp_path):
    table = "subject\tstory\twhat\texclude\n*\tsouls\thum\tyes\nUTS02\t*\tother site\tno\n"
    dataset = published(defects=write(tmp_path / "defects.tsv", table))
    assert all("souls" not in dataset.heard(subject) for subject in dataset.subjects)
    assert len(dataset.heard("UTS02")) == 83


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("a\t1\tsha1\tx\n", "line 2 has no size or no md5"),
        (f"a\tbig\tmd5\t{'0' * 32}\n", "line 2 has no size or no md5"),
        (f"../a\t1\tmd5\t{'0' * 32}\n", "line 2 points outside"),
        (f"/etc/a\t1\tmd5\t{'0' * 32}\n", "line 2 points outside"),
    ],
)
def test_bad_manifests_end_in_one_line(tmp_path, row, line):
    with pytest.raises(UserError, match=line):
        read_manifest(write(tmp_path / "manifest.tsv", MANIFEST + row))


def test_an_unknown_part_is_reported():
    with pytest.raises(
        UserError, match="UTS09: is not a part of the dataset; its parts are transcripts, sounds"
    ):
        published().needed("UTS09")
