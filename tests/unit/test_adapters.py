"""A lab's own data, as a folder or as BIDS images: from files on disk to stories, subjects and responses."""

import nibabel
import numpy as np
import pytest
from published import words_of, write_textgrid

from voxscale import tables
from voxscale.dataset import open_dataset
from voxscale.errors import UserError
from voxscale.preparation import chosen_columns, prepare_responses
from voxscale.responses import open_subject
from voxscale.stories import describe_subject, read_story

STORIES = {"walk": 24, "swim": 30, "exam": 26}
TR_S, ONSET_S = 1.5, 6.0


def write_trs(root):
    rows = [f"{story}\t{n_trs}\t{ONSET_S}\n" for story, n_trs in STORIES.items()]
    (root / "trs.tsv").write_text("story\tn_tr\tonset_s\n" + "".join(rows))


def write_words(path, story):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{a}\t{b - a:.3f}\t{word}\n" for a, b, word in words_of(story, STORIES[story] * TR_S)]
    path.write_text("onset\tduration\tword\n" + "".join(rows))


def write_folder(root, suffix="npz"):
    """Two subjects; the second has not heard `swim`. Gives (subject, story) -> (repeats, TRs, voxels)."""
    import h5py

    random, truth = np.random.default_rng(1), {}
    for subject, heard in (("anna", STORIES), ("bob", ["walk", "exam"])):
        for story in heard:
            each = random.normal(size=(4 if story == "exam" else 1, STORIES[story], 5)).astype(np.float32)
            data = truth[subject, story] = each.mean(0)
            path = root / f"responses/{subject}/{story}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == "npy":
                np.save(path, data)
            elif suffix == "npz":
                np.savez(path, data=data, **({"repeats": each} if len(each) > 1 else {}))
            else:
                with h5py.File(path, "w") as file:
                    file["data"] = data
                    if len(each) > 1:
                        file["individual_repeats"] = each
    for story in STORIES:
        if story == "walk":
            write_words(root / "words/walk.tsv", story)
        else:
            write_textgrid(root / f"words/{story}.TextGrid", words_of(story, STORIES[story] * TR_S))
    write_trs(root)
    return truth


SHAPE = (4, 3, 5)


def write_bids(root):
    """One subject, two sessions, three runs of the test story. Gives story -> (TRs, voxels)."""
    random, truth = np.random.default_rng(2), {}
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    mask = random.random(SHAPE) > 0.5
    folder = root / "sub-01/anat"
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), folder / "sub-01_mask.nii.gz")
    for story, n_trs in STORIES.items():
        runs = []
        for run in range(3 if story == "exam" else 1):
            session = f"ses-{1 + run % 2}"
            values = random.normal(size=(*SHAPE, n_trs)).astype(np.float32)
            runs.append(values[mask].T)  # (TRs, voxels)
            label = f"_run-{run + 1}" if story == "exam" else ""
            name = f"sub-01_{session}_task-{story}{label}_space-T1w_desc-preproc_bold.nii.gz"
            path = root / "sub-01" / session / "func" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), path)
            other = path.with_name(name.replace("T1w", "MNI"))
            nibabel.save(nibabel.Nifti1Image(values, affine), other)
        truth["01", story] = np.mean(runs, axis=0)
        write_words(root / f"stimuli/{story}.tsv", story)
    write_trs(root)
    return truth


def settings(root, kind, **changes):
    config = {
        "kind": kind,
        "root": str(root),
        "subjects": ["01"] if kind == "bids" else ["anna", "bob"],
        "test_stories": ["exam"],
        "tr_s": TR_S,
        "trim": [6, 2],
        "bids": {"space": "T1w", "mask": "{subject}/anat/{subject}_mask.nii.gz"},
    }
    return config | changes


def run(dataset, out):
    """What the rules do with a dataset."""
    dataset.check()
    for story in dataset.stories:
        assert all(path.exists() for path in dataset.story_inputs(story))
        parts = {name: out / f"{story}/{name}.parquet" for name in ("words", "phones", "clock")}
        read_story(
            dataset.transcript(story), dataset.clocks, story, **parts, tr_s=dataset.tr_s, trim=dataset.trim
        )
    for subject in dataset.subjects:
        heard = [*dataset.training(subject), *dataset.test(subject)]
        assert all(path.exists() for path in dataset.response_inputs(subject))
        describe_subject(
            subject,
            dataset.training(subject),
            dataset.test(subject),
            [out / f"{story}/words.parquet" for story in heard],
            [out / f"{story}/clock.parquet" for story in heard],
            out / f"{subject}.parquet",
        )
        prepare_responses(
            out / f"{subject}.h5",
            {story: dataset.response(subject, story) for story in heard},
            dataset.clocks,
            dataset.test(subject),
            mask=dataset.mask(subject),
            keep=dataset.config.get("keep", "float32"),
        )


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


@pytest.mark.parametrize("keep", ["float32", "none"])
@pytest.mark.parametrize("suffix", ["hf5", "h5", "npy", "npz"])
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


def _drop(pattern):
    def change(root, config):
        for path in root.glob(pattern):
            path.unlink()

    return change


def _set(**changes):
    return lambda root, config: config.update(changes)


def _text(name, content):
    def change(root, config):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)

    return change


def _save(name, **arrays):
    return lambda root, config: np.savez(root / name, **arrays)


WALK = "responses/anna/walk.npz"
BAD_FOLDERS = {
    "no root": (_set(root="nowhere"), "dataset.root: nowhere is no folder"),
    "no subject": (_set(subjects=["anna", "carl"]), "responses/carl: no such folder"),
    "no transcript": (_drop("words/swim*"), "swim.TextGrid: no such file; swim needs a transcript"),
    "no TR table": (_drop("trs.tsv"), "trs.tsv: no such file"),
    "no TRs of a story": (
        _text("trs.tsv", "story\tn_tr\tonset_s\nwalk\t24\t6\nexam\t26\t6\n"),
        "no story swim",
    ),
    "another TR count": (
        _text("trs.tsv", "story\tn_tr\tonset_s\nwalk\t25\t6\nexam\t26\t6\nswim\t30\t6\n"),
        "walk.npz: has 24 TRs, but .*trs.tsv asks for 25",
    ),
    "two files of a story": (_text("responses/anna/walk.npy", "x"), "walk is also in walk.npy"),
    "no array data": (_save(WALK, bold=np.zeros((24, 5))), r"no array `data` \(it holds bold\)"),
    "not a NumPy file": (_text(WALK, "hello"), "is not a whole NumPy file"),
    "pickled objects": (_save(WALK, data=np.array([{}], object)), "is not a whole NumPy file"),
    "transposed": (_save(WALK, data=np.zeros((5, 24))), "has 5 TRs, but .* asks for 24; transpose it"),
    "words in milliseconds": (
        _text("words/walk.tsv", "onset\tduration\tword\n100\t200\ta\n4000\t100\tb\n"),
        "walk.tsv: 2 of 2 words lie outside the scans",
    ),
    "no story left": (_drop("responses/bob/walk*"), "training_stories: bob has none"),
    "unknown test story": (_set(test_stories=["fly"]), "no subject of the config has story fly"),
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


def _image(name, shape=(*SHAPE, 24), affine=None):
    def change(root, config):
        values = np.ones(shape, np.float32)
        nibabel.save(
            nibabel.Nifti1Image(values, np.diag([3.0, 3, 3, 1]) if affine is None else affine), root / name
        )

    return change


def _halve(name):
    def change(root, config):
        raw = (root / name).read_bytes()
        (root / name).write_bytes(raw[: len(raw) // 2])

    return change


BOLD = "sub-01/ses-1/func/sub-01_ses-1_task-walk_space-T1w_desc-preproc_bold.nii.gz"
MASK = "sub-01/anat/sub-01_mask.nii.gz"
BAD_BIDS = {
    "no subject": (_set(subjects=["02"]), "sub-02: no such folder"),
    "no such space": (_set(bids={"space": "fsLR", "mask": MASK}), "has no BOLD image space-fsLR"),
    "two spaces": (
        _set(bids={"mask": MASK}),
        "is the same run as .*; pick one by config key dataset.bids.space",
    ),
    "no mask in the config": (_set(bids={"space": "T1w"}), "dataset.bids.mask: is missing"),
    "no mask on disk": (_drop(MASK), "sub-01_mask.nii.gz: no such file; config key dataset.bids.mask"),
    "a mask that is none": (_text(MASK, "hello"), "sub-01_mask.nii.gz: is not a NIfTI image"),
    "an empty mask": (
        lambda root, config: nibabel.save(
            nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4)), root / MASK
        ),
        "sub-01_mask.nii.gz: is empty",
    ),
    "an image that is none": (_text(BOLD, "hello"), "bold.nii.gz: is not a NIfTI image"),
    "an annexed image": (_text(BOLD, "/annex/objects/MD5E-s1--0.nii.gz"), "git-annex pointer"),
    "a cut-off image": (_halve(BOLD), "is cut off"),
    "an image without time": (_image(BOLD, SHAPE), "has 3 dimensions; a BOLD run has 4"),
    "another grid": (_image(BOLD, (4, 3, 6, 24)), "is not on the grid of the mask"),
    "another place": (_image(BOLD, affine=np.diag([2.0, 2, 2, 1])), "is not on the grid of the mask"),
    "another TR count": (_image(BOLD, (*SHAPE, 23)), "has 23 TRs, but .*trs.tsv asks for 24"),
    "runs of unequal length": (
        _image(BOLD.replace("task-walk", "task-exam_run-1"), (*SHAPE, 25)),
        "the story's runs have 25, 26, 26 TRs",
    ),
    "no word table": (_drop("stimuli/walk.tsv"), "walk.tsv: no such file; walk needs a transcript"),
    "keep none": (_set(keep="none"), "dataset.keep: images are read whole"),
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
    assert chosen_columns(path) == [0, 3]
    path.write_text("voxel\troi\n3\tAC\n")
    assert chosen_columns(path) is None
    assert chosen_columns(None) is None
    path.write_text("voxel\tkeep\n3\tperhaps\n")
    with pytest.raises(UserError, match="line 2: keep must be yes or no"):
        chosen_columns(path)
