"""A lab's own data, as a folder or as BIDS images: from files on disk to stories, subjects and responses."""

import nibabel
import numpy as np
import pytest
from labs import (
    ONSET_S,
    SHAPE,
    STORIES,
    TR_S,
    drop,
    halve,
    image,
    put,
    run,
    save,
    settings,
    text,
    write_bids,
    write_folder,
)
from published import words_of

from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.responses import open_subject
from voxscale.dataset.voxels import kept_voxels
from voxscale.errors import UserError
from voxscale.io import tables


def assert_same(out, truth):
    for (subject, story), data in truth.items():
        np.testing.assert_allclose(
            open_subject(out / f"{subject}.h5").read(story), data.T, rtol=1e-6, atol=1e-7
        )
        clock = tables.read("clock", out / f"{story}/clock.parquet").to_pandas()
        assert len(clock) == 6 + STORIES[story] + 2
        assert clock.onset_s[clock.in_response].iloc[0] == ONSET_S
        assert clock.in_response.sum() == len(data)
        words = tables.read("words", out / f"{story}/words.parquet")["word"].to_pylist()
        assert words == [word for _, _, word in words_of(story, STORIES[story] * TR_S)]


KINDS = [(suffix, keep) for suffix in ("hf5", "h5", "npy", "npz") for keep in ("float32", "none")]


@pytest.mark.parametrize(("suffix", "keep"), KINDS[:-1])
def test_a_folder_from_end_to_end(tmp_path, suffix, keep):
    truth = write_folder(tmp_path / "lab", suffix)
    dataset = open_dataset(settings(tmp_path / "lab", "folder", keep=keep))
    run(dataset, tmp_path / "out")
    assert_same(tmp_path / "out", truth)
    subjects = tables.read("subjects", tmp_path / "out/bob.parquet").to_pydict()
    assert (subjects["story"], subjects["role"]) == (["walk", "exam"], ["train", "test"])
    assert subjects["hours"] == pytest.approx([24 * 1.5 / 3600, 26 * 1.5 / 3600])
    repeats = open_subject(tmp_path / "out/anna.h5").n_repeats("exam")
    assert repeats == (0 if suffix == "npy" else 4)


def test_bids_images_from_end_to_end(tmp_path):
    truth = write_bids(tmp_path / "bids")
    run(open_dataset(settings(tmp_path / "bids", "bids")), tmp_path / "out")
    assert_same(tmp_path / "out", truth)
    subject = open_subject(tmp_path / "out/01.h5")
    assert subject.n_repeats("exam") == 3
    np.testing.assert_allclose(subject.repeats("exam").mean(0), truth["01", "exam"].T, rtol=1e-5, atol=1e-6)


def test_what_macos_leaves_beside_files_is_no_story(tmp_path):
    write_folder(tmp_path / "lab")
    write_bids(tmp_path / "bids")
    for path in [*tmp_path.glob("lab/responses/*/*"), *tmp_path.glob("bids/sub-01/*/func/*")]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert open_dataset(settings(tmp_path / "lab", "folder")).recorded("anna") == sorted(STORIES)
    bids = open_dataset(settings(tmp_path / "bids", "bids"))
    assert len(bids.response("01", "exam")) == 3


WALK = "responses/anna/walk.npz"


def rename(story, name):
    def change(root, config):
        for path in root.glob(f"*/**/{story}.*"):
            path.rename(path.with_name(name + path.suffix))
        trs = root / "trs.tsv"
        trs.write_text(trs.read_text().replace(f"{story}\t", f"{name}\t"))

    return change


BAD_FOLDERS = {
    "no root": (put(root="nowhere"), "dataset.root: nowhere is not a folder"),
    "no subject": (
        put(subjects=["anna", "carl"]),
        "dataset.subjects: .*responses/carl is not a folder; .*there are anna, bob",
    ),
    "misspelt subject": (put(subjects=["ana"]), r"\(did you mean anna\? there are anna, bob\)"),
    "no transcript": (
        drop("words/swim*"),
        "swim.TextGrid: no such file, nor swim.tsv; swim needs a transcript",
    ),
    "another ending": (
        lambda root, config: (root / "words/swim.TextGrid").rename(root / "words/swim.textgrid"),
        "swim.TextGrid: no such file, nor swim.tsv; .*; swim.textgrid is not read",
    ),
    "a name with a blank": (
        rename("walk", "my story"),
        "my story.npz: 'my story' is not a valid story name; use only letters",
    ),
    "a name with a dot": (rename("walk", "walk.v2"), r"walk\.v2\.npz: 'walk\.v2' is not a valid story name"),
    "a name with an umlaut": (rename("swim", "hören"), "hören.npz: 'hören' is not a valid story name"),
    "no TR table": (drop("trs.tsv"), "trs.tsv: no such file"),
    "no TRs of a story": (
        text("trs.tsv", "story\tn_tr\tonset_s\nwalk\t24\t6\nexam\t26\t6\n"),
        "no story swim",
    ),
    "another TR count": (
        text("trs.tsv", "story\tn_tr\tonset_s\nwalk\t25\t6\nexam\t26\t6\nswim\t30\t6\n"),
        "walk.npz: has 24 TRs, but .*trs.tsv says 25",
    ),
    "two files of a story": (text("responses/anna/walk.npy", "x"), "walk is also in walk.npy"),
    "no array data": (save(WALK, bold=np.zeros((24, 5))), r"no array `data` \(it holds bold\)"),
    "not a NumPy file": (text(WALK, "hello"), "is not a whole NumPy file"),
    "pickled objects": (save(WALK, data=np.array([[{}]], object)), "data holds object, not numbers"),
    "transposed": (save(WALK, data=np.zeros((5, 24))), "has 5 TRs, but .* says 24; transpose it"),
    "words in milliseconds": (
        text("words/walk.tsv", "onset\tduration\tword\n100\t200\ta\n4000\t100\tb\n"),
        "walk.tsv: 2 of 2 words lie outside the scans",
    ),
    "no story left": (drop("responses/bob/walk*"), "training_stories: bob heard none"),
    "unknown test story": (
        put(test_stories=["fly"]),
        "test_stories: no subject of the config has story fly; .*there are exam, swim",
    ),
}


@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_bad_folders_end_in_one_line(tmp_path, kind):
    change, line = BAD_FOLDERS[kind]
    write_folder(tmp_path / "lab")
    config = settings(tmp_path / "lab", "folder")
    change(tmp_path / "lab", config)
    with pytest.raises(UserError, match=line) as error:
        run(open_dataset(config), tmp_path / "out")
    assert "\n" not in str(error.value)


def test_packed_files_are_not_read_in_place(tmp_path):
    write_folder(tmp_path / "lab", "npz")
    dataset = open_dataset(settings(tmp_path / "lab", "folder", keep="none"))
    with pytest.raises(UserError, match=r"dataset\.keep: .*\.npz is unpacked whole each time it is read"):
        run(dataset, tmp_path / "out")


BOLD = "sub-01/ses-1/func/sub-01_ses-1_task-walk_space-T1w_desc-preproc_bold.nii.gz"
MASK = "sub-01/anat/sub-01_mask.nii.gz"
BAD_BIDS = {
    "no subject": (put(subjects=["02"]), "dataset.subjects: .*sub-02 is not a folder; .*did you mean sub-01"),
    "no such space": (put(bids={"space": "fsLR", "mask": MASK}), "has no BOLD image space-fsLR"),
    "two spaces": (
        put(bids={"mask": MASK}),
        "is the same run as .*; pick one by config key dataset.bids.space",
    ),
    "no mask in the config": (put(bids={"space": "T1w"}), "dataset.bids.mask: is missing"),
    "no mask on disk": (drop(MASK), "sub-01_mask.nii.gz: no such file; config key dataset.bids.mask"),
    "a mask that is none": (text(MASK, "hello"), "sub-01_mask.nii.gz: is not a NIfTI image"),
    "an empty mask": (
        lambda root, config: nibabel.save(
            nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4)), root / MASK
        ),
        "sub-01_mask.nii.gz: is empty",
    ),
    "a mask with a background of NaN": (
        lambda root, config: nibabel.save(
            nibabel.Nifti1Image(np.full(SHAPE, np.nan, np.float32), np.eye(4)), root / MASK
        ),
        "sub-01_mask.nii.gz: has values other than 0 and 1",
    ),
    "a mask of complex numbers": (
        lambda root, config: nibabel.save(
            nibabel.Nifti1Image(np.ones(SHAPE, np.complex64), np.eye(4)), root / MASK
        ),
        "sub-01_mask.nii.gz: holds complex64",
    ),
    "an image that is none": (text(BOLD, "hello"), "bold.nii.gz: is not a NIfTI image"),
    "an annexed image": (text(BOLD, "/annex/objects/MD5E-s1--0.nii.gz"), "git-annex pointer"),
    "a cut-off image": (halve(BOLD), "is cut off"),
    "an image without time": (image(BOLD, SHAPE), "has 3 dimensions; a BOLD run has 4"),
    "another grid": (image(BOLD, (4, 3, 6, 24)), "is not on the grid of the mask"),
    "another place": (image(BOLD, affine=np.diag([2.0, 2, 2, 1])), "is not on the grid of the mask"),
    "another TR count": (image(BOLD, (*SHAPE, 23)), "has 23 TRs, but .*trs.tsv says 24"),
    "runs of unequal length": (
        image(BOLD.replace("task-walk", "task-exam_run-1"), (*SHAPE, 25)),
        "the story's runs have 25, 26, 26 TRs",
    ),
    "no word table": (drop("stimuli/walk.tsv"), "walk.tsv: no such file; walk needs a transcript"),
    "keep none": (put(keep="none"), "dataset.keep: images are read whole"),
}


@pytest.mark.parametrize("kind", BAD_BIDS)
def test_bad_bids_datasets_end_in_one_line(tmp_path, kind):
    change, line = BAD_BIDS[kind]
    write_bids(tmp_path / "bids")
    config = settings(tmp_path / "bids", "bids")
    change(tmp_path / "bids", config)
    with pytest.raises(UserError, match=line) as error:
        run(open_dataset(config), tmp_path / "out")
    assert "\n" not in str(error.value)


def test_chosen_voxels_of_a_table(tmp_path):
    path = tmp_path / "voxels.tsv"
    path.write_text("voxel\troi\tkeep\n3\tAC\tyes\n1\t\tno\n0\tV1\tyes\n")
    assert kept_voxels(path, 5).tolist() == [0, 3]
    path.write_text("voxel\troi\n3\tAC\n")
    assert kept_voxels(path, 5).tolist() == kept_voxels(None, 5).tolist() == [0, 1, 2, 3, 4]
