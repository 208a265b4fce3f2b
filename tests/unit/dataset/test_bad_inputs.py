"""Mistakes in a lab's data, each reported in one line that names it."""

import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import soundfile
from labs import SHAPE, put, run, save, settings, text, write_bids, write_folder
from workflow.runs import smallest_config

from voxscale.cortex import NO_PLACES
from voxscale.dataset.clock import Clock
from voxscale.dataset.examine import fit_of_sound
from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.preparation import prepare_responses
from voxscale.dataset.textgrid import TimedLabel
from voxscale.errors import UserError
from voxscale.features.sound import read_sound
from voxscale.study import load_study, merge

WALK = "responses/anna/walk.npz"
TRS = "story\tn_tr\tonset_s\nwalk\t24\t6\nexam\t26\t6\nswim\t30\t6\n"


def words(*lines):
    return text("words/walk.tsv", "onset\tduration\tword\n" + "".join(f"{line}\n" for line in lines))


def numbers(path, values):
    """An npy file in place of the npz one."""

    def change(root, config):
        (root / WALK).unlink()
        np.save(root / path, values)

    return change


def replace_by_folder(name):
    def change(root, config):
        (root / name).unlink()
        (root / name).mkdir()

    return change


def voxels(pattern, content=None):
    def change(root, config):
        config["voxels"] = pattern if "{root}" not in pattern else pattern.replace("{root}", str(root))
        if content is not None:
            for subject in config["subjects"]:
                path = Path(config["voxels"].format(subject=subject))
                path.parent.mkdir(exist_ok=True)
                path.write_text(content)

    return change


FOLDERS = {
    "voxel table of no subject": (
        voxels("{root}/voxels/{subject}.tsv"),
        r"anna.tsv: no such file; .*dataset.voxels",
    ),
    "one voxel table for all": (
        voxels("{root}/v.tsv", "voxel\n0\n"),
        r"dataset.voxels: .*v.tsv must contain {subject}",
    ),
    "braces in the voxel pattern": (
        put(voxels="{sub}.tsv"),
        "{sub}.tsv must contain {subject}",
    ),
    "an open brace in the voxel pattern": (
        put(voxels="{subject}{.tsv"),
        "dataset.voxels: {subject}{.tsv has braces other than {subject}",
    ),
    "a folder in place of a TextGrid": (
        replace_by_folder("words/exam.TextGrid"),
        "exam.TextGrid: is a folder, not a transcript",
    ),
    "a folder in place of a word table": (
        replace_by_folder("words/walk.tsv"),
        "walk.tsv: is a folder, not a transcript",
    ),
    "root is a file": (
        lambda root, config: config.update(root=str(root / "trs.tsv")),
        "dataset.root: .*trs.tsv is not a folder",
    ),
    "responses of nobody": (
        lambda root, config: [path.unlink() for path in (root / "responses/bob").iterdir()],
        "bob",
    ),
    "TRs that are no number": (
        text("trs.tsv", TRS.replace("24", "many")),
        "n_tr of walk: 'many' is not a number",
    ),
    "no TRs at all": (text("trs.tsv", TRS.replace("24", "0")), "n_tr of walk: '0' is not a number of TRs"),
    "TRs of a story twice": (text("trs.tsv", TRS + "walk\t24\t6\n"), "line 5 names story walk again"),
    "TR table with decimal commas": (text("trs.tsv", TRS.replace("\t6", "\t6,5")), "a decimal point"),
    "word table with decimal commas": (words("1,5\t0,3\ta"), "onset '1,5'; it must be seconds, with a dec"),
    "word table with R's row names": (words("1\t5\t0.3\ta", "2\t6\t0.3\tb"), "row.names=FALSE"),
    "onset in words": (text("trs.tsv", TRS.replace("24\t6", "24\tsix")), "onset_s of walk is 'six'"),
    "TR table with commas": (text("trs.tsv", TRS.replace("\t", ",")), "trs.tsv: lacks column story"),
    "words without onset": (
        text("words/walk.tsv", "start\tduration\tword\n1\t1\ta\n"),
        "walk.tsv: lacks column onset",
    ),
    "word table without words": (words(), "walk.tsv: has no words"),
    "a time that is no number": (words("soon\t0.3\ta"), "walk.tsv: line 2 has onset 'soon'"),
    "words out of order": (words("5\t0.2\ta", "2\t0.2\tb"), "walk.tsv"),
    "a word of negative length": (words("5\t-0.2\ta"), "walk.tsv"),
    "a word without an end": (words("5\tinf\ta"), "walk.tsv: .a. lasts from 5.0 s to inf s"),
    "ragged word table": (words("5\t0.2"), "walk.tsv: line 2 has 2 cells, the header has 3"),
    "npy of one axis": (
        numbers("responses/anna/walk.npy", np.zeros(24)),
        r"shape \(24,\); it must be \(TRs, voxels\)",
    ),
    "npy of text": (
        numbers("responses/anna/walk.npy", np.full((24, 5), "a")),
        "walk.npy: data holds .*not numbers",
    ),
    "npz with repeats of another shape": (
        save(WALK, data=np.zeros((24, 5)), repeats=np.zeros((3, 20, 5))),
        r"walk.npz: repeats have shape \(3, 20, 5\)",
    ),
    "npz of NaN": (save(WALK, data=np.full((24, 5), np.nan)), "walk.npz: has no finite value at all"),
    "an empty response file": (text(WALK, ""), "walk.npz: is an empty file"),
}


def one_line(error):
    assert "\n" not in str(error.value)
    assert ": " in str(error.value)


def spoil_and_run(change, folder, config):
    change(folder / "lab", config)
    run(open_dataset(config), folder / "out")


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders(tmp_path, kind):
    change, line = FOLDERS[kind]
    write_folder(tmp_path / "lab")
    config = settings(tmp_path / "lab", "folder")
    with pytest.raises(UserError, match=line) as error:
        spoil_and_run(change, tmp_path, config)
    one_line(error)
    assert not (tmp_path / "out/anna.h5").exists()


def test_a_sound_that_speech_models_would_need(tmp_path):
    write_folder(tmp_path / "lab")
    dataset = open_dataset(settings(tmp_path / "lab", "folder"))
    dataset.check()
    with pytest.raises(UserError, match=r"sounds/\w+\.wav: no such file; .* need it") as error:
        dataset.check_sounds()
    one_line(error)


def test_a_wav_file_that_was_cut_off(tmp_path):
    write_folder(tmp_path / "lab")
    dataset = open_dataset(settings(tmp_path / "lab", "folder"))
    sounds = [dataset.audio(story) for story in dataset.stories]
    sounds[0].parent.mkdir()
    for path in sounds:
        soundfile.write(path, np.zeros((8000, 2)), 8000, subtype="PCM_16")
    dataset.check_sounds()
    whole = sounds[0].read_bytes()
    sounds[0].write_bytes(whole[: len(whole) // 2])
    for read in (dataset.check_sounds, lambda: read_sound(sounds[0])):
        with pytest.raises(
            UserError, match=r"cut off: its header states 1\.0 s of sound, it holds 0\.5 s"
        ) as error:
            read()
        one_line(error)
        assert str(error.value).startswith(str(sounds[0]))
    # Written into a pipe, whose length nobody knew.
    sounds[0].write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])
    dataset.check_sounds()
    assert len(read_sound(sounds[0], 8000)) == 8000


def test_a_sound_that_states_more_than_its_file_can_hold(tmp_path):
    path = tmp_path / "walk.wav"
    soundfile.write(path, np.zeros(8000), 8000, format="FLAC")
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:21] + bytes([whole[21] | 15]) + b"\xff" * 4 + whole[26:])  # 2^36 - 1 samples
    clock = Clock(5, 0.0, 1.0)
    for read in (lambda: read_sound(path), lambda: fit_of_sound(path, [TimedLabel(0.1, 0.2, "a")], clock)):
        with pytest.raises(
            UserError, match=r"walk\.wav: its header states 8,589,935 s of sound, but"
        ) as error:
            read()
        one_line(error)
    path.write_bytes(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0")
    with pytest.raises(UserError, match="is not a sound file") as error:
        read_sound(path)
    one_line(error)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (os.mkfifo, "is a pipe or a device, not a transcript file"),
        (lambda path: path.symlink_to(path.name), "is a dangling link, not a transcript file"),
        (
            lambda path: path.symlink_to("../.git/annex/objects/x/y"),
            "is a git-annex link without .*datalad get",
        ),
        (lambda path: path.write_bytes(b"onset\tduration\tword\n1\t1\ta\0b\n"), "holds zero bytes; save it"),
    ],
)
def test_a_transcript_that_is_not_one(tmp_path, spoil, said):
    write_folder(tmp_path / "lab")
    dataset = open_dataset(settings(tmp_path / "lab", "folder"))
    (path := tmp_path / "lab/words/walk.tsv").unlink()
    spoil(path)
    with pytest.raises(UserError, match=rf"words/walk\.tsv: {said}") as error:
        dataset.check() or dataset.examine()
    one_line(error)


def test_one_sound_for_two_stories_and_one_that_is_far_too_long(tmp_path, capsys):
    write_folder(tmp_path / "lab")
    (tmp_path / "lab/sounds").mkdir()
    for story in ("walk", "exam"):  # of 36 and 39 s
        soundfile.write(tmp_path / f"lab/sounds/{story}.wav", np.zeros(9000), 100)
    said = "\n".join(open_dataset(settings(tmp_path / "lab", "folder")).examine())
    assert re.search(r"walk\.wav: ends at 90 s, the story's scans end at 4\d s", said), said
    assert re.search(r"\w+\.wav: has the same bytes as \S+\.wav; check which is right", said), said
    read_sound(tmp_path / "lab/sounds/walk.wav")
    assert "walk.wav: is silent throughout" in capsys.readouterr().err


def test_repeats_that_are_copies(tmp_path, capsys):
    (tmp_path / "trs.tsv").write_text("story\tn_tr\tonset_s\nexam\t30\t0\n")
    one, two = np.random.default_rng(0).normal(size=(2, 30, 4)) + np.arange(30)[:, None] % 7
    for repeats, copied in (((one, two, one), True), ((one, two), False)):
        np.savez(tmp_path / "exam.npz", data=np.mean(repeats, 0), repeats=repeats)
        prepare_responses(
            tmp_path / "s.h5", {"exam": [tmp_path / "exam.npz"]}, tmp_path / "trs.tsv", ["exam"]
        )
        assert ("two repeats of the story have the same values" in capsys.readouterr().err) == copied


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": {"trim": [500, 2]}}, r"dataset\.trim: 500 TRs, all stories together have 80; lower it"),
        ({"encoding": {"delays": [1, 30]}}, r"encoding\.delays: 30 TRs, but story walk has 24; lower it"),
    ],
)
def test_what_is_longer_than_the_stories_is_found_before_the_first_job(tmp_path, changes, said):
    write_folder(tmp_path / "lab")
    config = smallest_config() | {"dataset": settings(tmp_path / "lab", "folder")}
    del config["phantom"], config["dataset"]["bids"]
    config["scoring"]["skip_s"] = 5
    study = load_study(merge(config, {"encoding": {"delays": [1, 2]}}))
    assert NO_PLACES not in study.notes, "nobody else's surfaces are missed"
    with pytest.raises(UserError, match=said) as error:
        load_study(merge(config, changes))
    one_line(error)


BOLD = "sub-01/ses-1/func/sub-01_ses-1_task-walk_space-T1w_desc-preproc_bold.nii.gz"
MASK = "sub-01/anat/sub-01_mask.nii.gz"
IMAGES = {
    "braces in the mask": (put(bids={"space": "T1w", "mask": "{session}/m.nii"}), "bids.mask: .* has braces"),
    "a mask over time": (
        lambda root, config: nibabel.save(
            nibabel.Nifti1Image(np.ones((*SHAPE, 2), np.uint8), np.diag([3.0, 3, 3, 1])), root / MASK
        ),
        r"mask.nii.gz: has shape \(4, 3, 5, 2\); a mask is \(x, y, z\)",
    ),
    "a mask of another shape": (
        lambda root, config: nibabel.save(
            nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.diag([3.0, 3, 3, 1])), root / MASK
        ),
        "bold.nii.gz: is not on the grid of the mask .*mask.nii.gz",
    ),
    "word table with commas": (
        text("stimuli/walk.tsv", "onset,duration,word\n1,1,a\n"),
        "lacks column onset",
    ),
    "no task in the names": (
        lambda root, config: [
            path.rename(path.with_name(f"sub-01_part-{i}_space-T1w_bold.nii.gz"))
            for i, path in enumerate(sorted(root.glob("sub-01/*/func/*T1w*")))
        ],
        "sub-01: has no BOLD image space-T1w",
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images(tmp_path, kind):
    change, line = IMAGES[kind]
    write_bids(tmp_path / "lab")
    config = settings(tmp_path / "lab", "bids")
    change(tmp_path / "lab", config)
    with pytest.raises(UserError, match=line) as error:
        run(open_dataset(config), tmp_path / "out")
    one_line(error)
