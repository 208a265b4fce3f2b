"""A lab's own voxel tables, a constant story, and stories or files that are there twice."""

import shutil

import numpy as np
import pytest
from labs import run, save, settings, write_folder, write_words

from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.voxels import kept_voxels
from voxscale.errors import UserError


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "lab")
    return tmp_path / "lab"


def test_a_voxel_table_of_a_part_that_counts_from_one(tmp_path):
    table = tmp_path / "v.tsv"
    table.write_text("voxel\tkeep\n1\tyes\n3\tyes\n2\tno\n")
    with pytest.raises(UserError, match=r"names voxels 1 to 3, but voxels are counted from 0; .* voxel 0"):
        kept_voxels(table, 9)
    table.write_text("voxel\tkeep\n0\tno\n1\tyes\n3\tyes\n2\tno\n")
    assert kept_voxels(table, 9).tolist() == [1, 3]


def test_a_constant_story_is_refused(folder, tmp_path):
    save("responses/anna/walk.npz", data=np.full((24, 5), 3.0))(folder, None)
    with pytest.raises(UserError, match=r"walk\.npz: no voxel changes over time; leave the story out"):
        run(open_dataset(settings(folder, "folder")), tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"\xef\xbb\xbfvoxel\troi\n0\tAC\n", None),
        (b"voxel\troi\n0\n", "line 2 has 1 cells, the header has 2"),
        ("voxel\troi\n0\tcaf\xe9\n".encode("latin-1"), "save it as UTF-8 text"),
    ],
)
def test_a_voxel_table_is_read_like_every_table_before_the_first_job(folder, content, line):
    for subject in ("anna", "bob"):
        (folder / f"{subject}.tsv").write_bytes(content)
    dataset = open_dataset(settings(folder, "folder", voxels=f"{folder}/{{subject}}.tsv"))
    if line is None:
        assert dataset.examine() == []
    else:
        with pytest.raises(UserError, match=rf"anna\.tsv: .*{line}"):
            dataset.examine()


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("voxel\tROI", "has a column ROI; did you mean roi"),
        ("voxel\tKeep", "has a column Keep; did you mean keep"),
        ("voxel\tnote", None),
    ],
)
def test_columns_of_a_voxel_table_that_are_not_read(folder, header, line):
    for subject in ("anna", "bob"):
        (folder / f"{subject}.tsv").write_text(f"{header}\n0\tno\n")
    dataset = open_dataset(settings(folder, "folder", voxels=f"{folder}/{{subject}}.tsv"))
    if line is None:
        assert [": column note not read; the columns" in note for note in dataset.examine()] == [True, True]
    else:
        with pytest.raises(UserError, match=rf"anna\.tsv: {line}"):
            dataset.examine()


class TestTwins:
    """One story under two names, whatever its TRs; one file under two names."""

    def test_words(self, folder):
        write_words(folder / "words/swim.tsv", "walk")  # swim has other TRs
        assert "walk and swim have the same words" in " ".join(
            sorted(open_dataset(settings(folder, "folder")).examine())
        ).replace("swim and walk", "walk and swim")
        with pytest.raises(UserError, match="training_stories: walk is test story swim under another name"):
            open_dataset(settings(folder, "folder", test_stories=["exam", "swim"])).examine()

    def test_files(self, folder):
        shutil.copy(folder / "responses/anna/walk.npz", folder / "responses/bob/walk.npz")
        (note,) = open_dataset(settings(folder, "folder")).examine()
        assert "bob/walk.npz: has the same bytes as" in note
