"""Tables of what was heard: right, checked, and never with a story in both roles."""

import pytest
from published import words_of, write_published, write_textgrid

from voxscale.dataset.stories import describe_subject, write_story_tables
from voxscale.errors import UserError
from voxscale.io import tables

STORIES = {"quiet": 20, "long": 31, "exam": 25}


def read(root, story, folder, **options):
    out = {name: folder / story / f"{name}.parquet" for name in ("words", "phones", "clock")}
    write_story_tables(
        root / f"derivative/TextGrids/{story}.TextGrid",
        root / "derivative/respdict.json",
        story,
        **out,
        **options,
    )
    return out


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "data"
    write_published(root, STORIES, ["UTS01"], test=["exam"])
    return root


def test_tables_of_a_story(published, tmp_path):
    grid = published / "derivative/TextGrids/quiet.TextGrid"
    write_textgrid(grid, [(0.5, 1.0, "hello"), (1.0, 1.2, "sp"), (1.2, 2.0, "there")], [(0.5, 0.6, "HH")])
    out = read(published, "quiet", tmp_path / "stories", provenance={"rule": "read_story"})
    assert tables.read("words", out["words"]).to_pydict() == {
        "story": ["quiet"] * 2,
        "index": [0, 1],
        "word": ["hello", "there"],
        "onset_s": [0.5, 1.2],
        "offset_s": [1.0, 2.0],
    }
    assert tables.read("phones", out["phones"])["phone"].to_pylist() == ["HH"]
    clock = tables.read("clock", out["clock"])
    assert clock.num_rows == STORIES["quiet"] + 15
    assert tables.provenance(out["clock"]) == {"rule": "read_story"}


def test_a_story_without_phones_has_an_empty_table(published, tmp_path):
    out = read(published, "long", tmp_path / "stories")
    assert tables.read("phones", out["phones"]).num_rows == 0


def test_nothing_is_left_when_the_transcript_is_bad(published, tmp_path):
    (published / "derivative/TextGrids/quiet.TextGrid").write_text("oops")
    with pytest.raises(UserError, match="is not a TextGrid"):
        read(published, "quiet", tmp_path / "stories")
    assert not list(tmp_path.glob("stories/**/*.parquet"))


def test_a_transcript_in_milliseconds_is_reported(published, tmp_path):
    words = [(1000 * a, 1000 * b, word) for a, b, word in words_of("quiet", 20)]
    write_textgrid(published / "derivative/TextGrids/quiet.TextGrid", words)
    with pytest.raises(UserError, match="39 of 40 words lie outside the scans"):
        read(published, "quiet", tmp_path / "stories")


def describe(root, folder, training, test):
    files = [read(root, story, folder) for story in dict.fromkeys([*training, *test])]
    describe_subject(
        "UTS01",
        training,
        [test],
        [file["words"] for file in files],
        [file["clock"] for file in files],
        folder / "UTS01.parquet",
    )
    return tables.read("subjects", folder / "UTS01.parquet").to_pylist()


def test_what_a_subject_heard(published, tmp_path):
    rows = describe(published, tmp_path / "out", ["long", "quiet"], ["exam"])
    assert [(row["story"], row["role"], row["n_tr"]) for row in rows] == [
        ("long", "train", 31),
        ("quiet", "train", 20),
        ("exam", "test", 25),
    ]
    assert rows[0]["hours"] == pytest.approx(31 * 2 / 3600)
    assert rows[0]["n_words"] == 124
    assert len({row["stimulus_sha"] for row in rows}) == 3


def test_no_story_is_in_both_roles(published, tmp_path):
    with pytest.raises(UserError, match="training_stories: exam is in training and in test"):
        describe(published, tmp_path / "out", ["long", "exam"], ["exam"])


def test_a_test_story_under_another_name_is_caught(published, tmp_path):
    grids = published / "derivative/TextGrids"
    write_textgrid(grids / "long.TextGrid", words_of("same", 50))
    write_textgrid(grids / "exam.TextGrid", words_of("same", 50))
    respdict = published / "derivative/respdict.json"
    respdict.write_text('{"long": 45, "exam": 45, "quiet": 40}')
    with pytest.raises(UserError, match="long is test story exam under another name"):
        describe(published, tmp_path / "out", ["long", "quiet"], ["exam"])
    respdict.write_text('{"long": 45, "exam": 46, "quiet": 40}')
    with pytest.raises(UserError, match="long is test story exam under another name: their words"):
        describe(published, tmp_path / "more", ["long", "quiet"], ["exam"])


@pytest.mark.parametrize(
    ("training", "test", "line"),
    [
        ([], ["exam"], "training_stories: UTS01 heard none"),
        (["long"], [], "test_stories: UTS01 heard none"),
    ],
)
def test_a_role_without_stories_is_reported(published, tmp_path, training, test, line):
    with pytest.raises(UserError, match=line):
        describe(published, tmp_path / "out", training, test)
