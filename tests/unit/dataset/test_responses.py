"""Responses: copied exactly, read in blocks, and wrong files reported by name before anything is written."""

import json

import h5py
import numpy as np
import pytest
from published import write_kept, write_published

from voxscale.dataset import disk, preparation
from voxscale.dataset.preparation import prepare_responses
from voxscale.dataset.responses import open_subject
from voxscale.errors import UserError

STORIES = {"long": 31, "quiet": 20, "exam": 25}


class Case:
    """A subject on disk and the call that prepares it."""

    def __init__(self, folder):
        self.root, self.out = folder / "data", folder / "responses/UTS01.h5"
        self.written = write_published(self.root, STORIES, ["UTS01"], n_voxels=7, test=["exam"])
        self.clocks = self.root / "derivative/respdict.json"

    def file(self, story):
        return self.root / f"derivative/preprocessed_data/UTS01/{story}.hf5"

    def edit(self, story, change):
        with h5py.File(self.file(story), "r+") as file:
            data = file["data"][:]
            del file["data"]
            data = change(data)
            if data is not None:
                file["data"] = data

    def prepare(self, stories=tuple(STORIES), **options):
        sources = {story: [self.file(story)] for story in stories}
        prepare_responses(self.out, sources, self.clocks, ["exam"], **options)
        return open_subject(self.out)


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


@pytest.mark.parametrize("keep", ["float32", "none"])
@pytest.mark.parametrize("block_bytes", [1, 2000, 64 << 20])
def test_what_is_read_is_what_was_published(case, monkeypatch, keep, block_bytes):
    monkeypatch.setattr(preparation, "_BLOCK_BYTES", block_bytes)
    subject = case.prepare(keep=keep, provenance={"seed": 1})
    assert subject.stories == list(STORIES)
    assert subject.test_stories == subject.ceiling_stories == ["exam"]
    assert subject.n_voxels == 7
    assert subject.attrs["provenance"] == {"seed": 1}
    for story, n_trs in STORIES.items():
        published = case.written["UTS01", story].T.astype(np.float32)
        assert subject.n_trs(story) == n_trs
        np.testing.assert_array_equal(subject.read(story), published)
        np.testing.assert_array_equal(subject.read(story, slice(2, 5)), published[2:5])
        assert subject.read(story, slice(5, 5)).shape == (0, n_trs)
    with h5py.File(case.file("exam")) as file:
        repeats = file["individual_repeats"][:].transpose(0, 2, 1).astype(np.float32)
    np.testing.assert_array_equal(subject.repeats("exam"), repeats)
    np.testing.assert_array_equal(subject.repeats("exam", slice(1, 3)), repeats[:, 1:3])
    assert subject.read("exam").dtype == subject.repeats("exam").dtype == np.float32


def test_the_copy_is_laid_out_for_fits(case):
    case.prepare()
    with h5py.File(case.out) as file:
        assert file["exam/data"].shape == (7, 25)
        assert file["exam/repeats"].shape == (3, 7, 25)
        assert file["exam/data"].dtype == np.float32
        assert file["exam/data"].chunks == (7, 25), "a voxel's TRs lie together"
        assert file["exam/repeats"].fletcher32


@pytest.mark.parametrize("keep", ["float32", "none"])
@pytest.mark.parametrize("columns", [[0, 1], [1, 4, 6], [6]])
def test_chosen_voxels(case, keep, columns):
    subject = case.prepare(keep=keep, voxels=write_kept(case.root / "kept.tsv", columns))
    assert subject.voxels.tolist() == columns
    np.testing.assert_array_equal(
        subject.read("long"), case.written["UTS01", "long"].T[columns].astype(np.float32)
    )
    assert subject.repeats("exam").shape == (3, len(columns), 25)


def test_missing_values_are_kept_and_counted(case, capsys):
    def spoil(data):
        data[:, 3] = np.nan
        data[2, 5] = np.inf
        data[4, 5] = 1e300  # no float32 holds it
        return data

    case.edit("quiet", spoil)
    subject = case.prepare()
    read = subject.read("quiet")
    assert np.isnan(read[3]).all()
    assert np.flatnonzero(np.isnan(read[5])).tolist() == [2, 4]
    assert np.isfinite(read[[0, 1, 2, 4, 6]]).all()
    assert "quiet.hf5: 22 values in 2 voxels are not finite" in capsys.readouterr().err
    with h5py.File(case.out) as file:
        assert (file["quiet"].attrs["missing_values"], file["quiet"].attrs["missing_voxels"]) == (22, 2)


def test_voxels_constant_in_one_story_only_are_counted(case, capsys):
    def spoil(data):
        data[:, 2:4] = 0
        return data

    case.edit("quiet", spoil)
    case.prepare()
    assert "quiet.hf5: 2 of 7 voxels never change in this story" in capsys.readouterr().err
    case.edit("long", spoil), case.edit("exam", spoil)
    case.prepare()
    assert "never change" not in capsys.readouterr().err


def test_repeats_that_are_not_the_datas_are_reported(case, capsys):
    case.prepare()
    assert "WARNING" not in capsys.readouterr().err
    case.edit("exam", lambda data: data + 0.1)
    case.prepare()
    assert "exam.hf5: data is not the mean of its repeats" in capsys.readouterr().err


def test_the_size_is_reported_beforehand(case, capsys):
    case.prepare()
    assert "3 stories, 76 TRs x 7 voxels, 0.00 GB to write" in capsys.readouterr().err


def test_a_full_disk_is_reported_before_writing(case, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"needs 0.0 GB, but 0.0 GB are free; free some, or set .*keep: none"):
        case.prepare()
    case.prepare(keep="none")


def _cut(case):
    raw = case.file("quiet").read_bytes()
    case.file("quiet").write_bytes(raw[: len(raw) // 2])


def _text(content):
    return lambda case: case.file("quiet").write_text(content)


def _edit(change):
    return lambda case: case.edit("quiet", change)


def _repeats(shape):
    def change(case):
        with h5py.File(case.file("quiet"), "r+") as file:
            file["individual_repeats"] = np.zeros(shape)

    return change


BAD = {
    "no file": (lambda case: case.file("quiet").unlink(), "no such file"),
    "cut off": (_cut, "is cut off"),
    "an empty file": (_text(""), "an empty file"),
    "an HTML page": (_text("<html>not found</html>"), "an HTML page"),
    "a git-annex pointer": (_text("/annex/objects/MD5E-s1--0.hf5"), "git-annex pointer"),
    "another format": (_text("a,b\n1,2\n"), "is not an HDF5 file"),
    "no data": (_edit(lambda data: None), "has no dataset `data`"),
    "wrong TR count": (_edit(lambda data: data[:-1]), r"has 19 TRs, but .*respdict.json says 20"),
    "transposed": (_edit(lambda data: data.T), "says 20; transpose it"),
    "other voxels": (_edit(lambda data: data[:, :6]), "has 6 voxels, but long has 7"),
    "one axis": (_edit(lambda data: data[:, 0]), r"shape \(20,\); it must be \(TRs, voxels\)"),
    "no voxels": (_edit(lambda data: data[:, :0]), r"it must be \(TRs, voxels\)"),
    "text in place of numbers": (_edit(lambda data: data.astype("S4")), "holds .*not numbers"),
    "nothing finite": (_edit(lambda data: data * np.nan), "no finite value at all"),
    "repeats of another shape": (_repeats((2, 20, 6)), "repeats must be"),
    "no repeat in repeats": (_repeats((0, 20, 7)), "repeats must be"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_responses_end_in_one_line_and_leave_nothing(case, kind):
    spoil, line = BAD[kind]
    spoil(case)
    with pytest.raises(UserError, match=line) as error:
        case.prepare()
    assert "quiet.hf5" in str(error.value)
    assert not list(case.out.parent.glob("*"))


def test_a_story_without_a_clock_is_reported(case):
    case.clocks.write_text(json.dumps({"long": 51, "exam": 45}))
    with pytest.raises(UserError, match=r"respdict.json: has no story quiet"):
        case.prepare()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("voxel\troi\n0\tAC\n999\tV1\n", "names voxel 999, but the responses have voxels 0 to 6; correct it"),
        ("voxel\n" + "".join(f"{voxel}\n" for voxel in range(1, 8)), "names voxel 7, .*; count from 0"),
        ("voxel\n0\n7\n", "names voxel 7, .*; correct it"),
        ("voxel\troi\n-1\tAC\n0\tV1\n", "names voxel -1"),
        ("voxel\troi\n", "has no line below its header"),
        ("voxel\tkeep\n1\tyes\n1\tyes\n", "line 3 has voxel 1 again"),
        ("voxel\tkeep\n1\tno\n", "keeps no voxel"),
        ("voxel\tkeep\n1\tperhaps\n", "line 2: keep is 'perhaps'"),
        ("voxel\tkeep\nfirst\tyes\n", "line 2 has a voxel or vertex that is not a number"),
        ("roi\nAC\n", "lacks column voxel"),
    ],
)
def test_voxel_tables_that_are_not_the_subjects_are_reported(case, content, line):
    table = case.root / "voxels.tsv"
    table.write_text(content)
    with pytest.raises(UserError, match=rf"voxels\.tsv: {line}"):
        case.prepare(voxels=table)
    assert not case.out.exists()


def test_reading_what_is_not_there(case, tmp_path):
    subject = case.prepare()
    with pytest.raises(UserError, match="has no story other"):
        subject.read("other")
    with pytest.raises(UserError, match="story long has no repeats"):
        subject.repeats("long")
    with pytest.raises(UserError, match="no such file; run rule prepare_responses"):
        open_subject(tmp_path / "none.h5")
    case.out.write_bytes(case.out.read_bytes()[:500])
    with pytest.raises(UserError, match="damaged"):
        open_subject(case.out)
    with pytest.raises(UserError, match="not a response file of this version"):
        open_subject(case.file("long"))
