"""A lab's own data: its TR, files that are not read, repeats and sections; words, sound and scans."""

import json
import shutil

import h5py
import nibabel
import numpy as np
import pytest
import soundfile
from labs import SHAPE, STORIES, TR_S, run, settings, write_bids, write_folder, write_words
from published import heard

from voxscale.dataset.bids import natural
from voxscale.dataset.clock import Clock
from voxscale.dataset.examine import fit_of_sound, fit_of_words
from voxscale.dataset.images import Reading, header_tr_s
from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.repeats import Agreement
from voxscale.dataset.response_files import open_responses, read_response_header
from voxscale.dataset.textgrid import TimedLabel
from voxscale.errors import UserError
from voxscale.study.timing import timing_notes, usual_delays, with_timing

FUNC = "sub-01/ses-1/func"
WALK = f"{FUNC}/sub-01_ses-1_task-walk_space-T1w_desc-preproc_bold"
BIDS = {"space": "T1w", "mask": "{subject}/anat/{subject}_mask.nii.gz"}


@pytest.fixture(scope="module")
def bids_home(tmp_path_factory):
    root = tmp_path_factory.mktemp("bids")
    write_bids(root)
    return root


@pytest.fixture
def bids(bids_home, tmp_path):
    root = tmp_path / "bids"
    shutil.copytree(bids_home, root)
    return root


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "lab")
    return tmp_path / "lab"


def sidecar(path, tr_s):
    path.write_text(json.dumps({"RepetitionTime": tr_s, "TaskName": "story"}))


def with_header(path, value, unit):
    image = nibabel.load(path)
    copy = nibabel.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header)
    copy.header["pixdim"][4] = value
    copy.header.set_xyzt_units("mm", unit)
    nibabel.save(copy, path)


def without_tr(root, kind):
    config = settings(root, kind)
    del config["tr_s"]
    return config


class TestRepetitionTime:
    def test_the_most_special_sidecar_decides(self, bids):
        sidecar(bids / "task-walk_bold.json", 9)
        sidecar(bids / "bold.json", TR_S)
        sidecar(bids / f"{WALK}.json", TR_S)
        assert open_dataset(without_tr(bids, "bids")).tr_s == TR_S
        with pytest.raises(UserError, match=r"dataset\.tr_s: 2 s, but .*bold\.json states 1\.5 s") as error:
            _ = open_dataset(settings(bids, "bids", tr_s=2.0)).tr_s
        assert "\n" not in str(error.value)
        sidecar(bids / f"{WALK}.json", 3.0)
        with pytest.raises(UserError, match=r"walk.*json: states a TR of 3 s, .*bold\.json one of 1\.5 s"):
            _ = open_dataset(without_tr(bids, "bids")).tr_s
        sidecar(bids / f"{WALK}.json", 1500)
        with pytest.raises(UserError, match="RepetitionTime is 1500; it must be seconds"):
            _ = open_dataset(without_tr(bids, "bids")).tr_s

    @pytest.mark.parametrize(
        ("value", "unit", "stated"),
        [
            (0, "sec", None),
            (1, "unknown", None),
            (1000, "sec", None),
            (1500, "msec", 1.5),
            (1500, "sec", 1.5),
            (720_000, "usec", 0.72),
            (2, "sec", 2.0),
            (1e9, "sec", None),
        ],
    )
    def test_headers_say_it_with_reserve_and_yield_to_a_sidecar(self, tmp_path, value, unit, stated):
        path = tmp_path / "bold.nii"
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)), path)
        with_header(path, value, unit)
        assert header_tr_s(path) == (None if stated is None else pytest.approx(stated))

    def test_a_header_is_checked_only_where_no_sidecar_is(self, bids):
        with_header(bids / f"{WALK}.nii.gz", 2500, "msec")
        with pytest.raises(UserError, match=r"dataset\.tr_s: 1\.5 s, but .*walk.* states 2\.5 s"):
            _ = open_dataset(settings(bids, "bids")).tr_s
        with pytest.raises(UserError, match=r"tr_s: is missing, .* RepetitionTime; .*walk.* has 2\.5 s"):
            _ = open_dataset(without_tr(bids, "bids")).tr_s
        sidecar(bids / f"{WALK.replace('walk', 'swim')}.json", TR_S)
        with pytest.raises(
            UserError, match=r"walk.*nii\.gz: states a TR of 2\.5 s, .*swim.*json one of 1\.5 s"
        ):
            _ = open_dataset(settings(bids, "bids")).tr_s  # of an image without a sidecar
        sidecar(bids / "bold.json", TR_S)
        assert open_dataset(settings(bids, "bids")).tr_s == TR_S

    def test_a_folder_must_give_it(self, folder):
        with pytest.raises(UserError, match=r"dataset\.tr_s: is missing; give the length"):
            open_dataset(without_tr(folder, "folder")).check()


@pytest.mark.parametrize(("tr_s", "last"), [(2.0, 4), (1.5, 5), (1.0, 8), (0.72, 11), (3.0, 3), (12.0, 1)])
def test_delays_follow_the_tr(tr_s, last, folder):
    dataset = open_dataset(settings(folder, "folder", tr_s=tr_s))
    timed = with_timing({"dataset": dataset.config, "encoding": {"form": "auto"}}, dataset)
    assert timed["encoding"]["delays"] == list(range(1, last + 1)) == usual_delays(tr_s)
    assert timed["dataset"]["tr_s"] == tr_s
    own = with_timing({"dataset": dataset.config, "encoding": {"delays": [1, 2, 3, 4]}}, dataset)
    assert own["encoding"]["delays"] == [1, 2, 3, 4], "a config that names them keeps them"
    assert bool(timing_notes(own)) == (4 * tr_s < 6 or tr_s > 6)


class TestFilesThatAreNotRead:
    def test_all_of_a_folder_are_in_one_list(self, folder):
        for name in ("swim.mat", "notes.csv"):
            (folder / "responses/bob" / name).write_text("x")
        (folder / "words/walk.TextGrid").write_text("x")
        (folder / "trs.tsv").write_text((folder / "trs.tsv").read_text() + "fly\t9\t0\n")
        notes = open_dataset(settings(folder, "folder")).notes
        assert [note.split(str(folder))[-1] for note in notes] == [
            "/responses/bob: notes.csv, swim.mat not read; files of responses end in .hf5, .h5, .hdf5, .npy, "
            ".npz.",
            "bob has no responses to swim.",
            "/trs.tsv: no subject of the config has responses to fly.",
            "/words/walk.tsv: is read, walk.TextGrid beside it is not.",
        ]

    def test_capitals_in_an_ending_are_read(self, folder):
        path = folder / "responses/anna/walk.npz"
        path.rename(path.with_suffix(".NPZ"))
        dataset = open_dataset(settings(folder, "folder"))
        assert dataset.recorded("anna") == sorted(STORIES)
        with open_responses(dataset.response("anna", "walk")) as responses:
            assert responses.data.shape == (24, 5)

    def test_linked_sessions_are_read_and_other_images_named(self, bids, tmp_path):
        (bids / "sub-01/ses-2").rename(tmp_path / "elsewhere")
        (bids / "sub-01/ses-2").symlink_to(tmp_path / "elsewhere")
        (bids / FUNC / "sub-01_task-fly_space-MNI_bold.nii.gz").write_text("x")
        (bids / FUNC / "sub-01_task-walk_space-fsaverage5_bold.func.gii").write_text("x")
        dataset = open_dataset(settings(bids, "bids"))
        assert len(dataset.response("01", "exam")) == 3
        assert "task-fly_space-MNI_bold.nii.gz" in dataset.notes[0]
        assert "bold.func.gii" in dataset.notes[0]


def image(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([3.0, 3, 3, 1])), path)


class TestRepeats:
    @pytest.mark.parametrize("n_trs", [24, 150])
    def test_only_what_repeats_have_in_common_passes(self, n_trs):
        random = np.random.default_rng(0)
        for common in (True, False):
            wrong = 0
            for _ in range(50):
                noise = random.normal(size=(3, n_trs, 4)) @ random.normal(size=(4, 30))
                agreement = Agreement()
                both = noise + common * random.normal(size=(n_trs, 30)) * 2
                agreement.add(both[..., :10])
                agreement.add(both[..., 10:])
                wrong += agreement.by_chance == common
            assert wrong <= 3

    def test_the_reaction_to_the_start_of_any_story_is_not_agreement(self):
        start = np.exp(-np.arange(200) / 10)[:, None]
        runs = np.random.default_rng(1).normal(size=(4, 200, 50)) + 20 * start
        agreement = Agreement()
        agreement.add(runs)
        assert agreement.by_chance

    def test_runs_that_do_not_agree_are_refused_or_accepted(self, bids, tmp_path, capsys):
        random = np.random.default_rng(5)
        for path in bids.glob("sub-01/*/func/*task-exam*T1w*"):
            image(path, random.normal(size=(*SHAPE, STORIES["exam"])))
        with pytest.raises(UserError, match=r"3 repeats do not correlate .*dataset\.bids\.sections"):
            run(open_dataset(settings(bids, "bids")), tmp_path / "out")
        run(open_dataset(settings(bids, "bids", weak_repeats="accept")), tmp_path / "out")
        assert "3 repeats do not correlate" in capsys.readouterr().err

    def test_a_declared_section_is_a_story_of_its_own(self, bids):
        lines = (bids / "trs.tsv").read_text()
        random = np.random.default_rng(6)
        for number in (1, 2, 10):
            for session in (1, 2):
                name = f"sub-01_ses-{session}_task-prince_run-{number}_space-T1w_bold.nii.gz"
                each = heard(random, 1, 20 + number, int(np.prod(SHAPE)))[0]
                image(bids / f"sub-01/ses-{session}/func/{name}", each.T.reshape(*SHAPE, -1))
            lines += f"prince_run-{number}\t{20 + number}\t6\n"
            write_words(bids / f"stimuli/prince_run-{number}.tsv", "walk")
        (bids / "trs.tsv").write_text(lines)
        sections = {**BIDS, "sections": {"prince": ["run"]}}
        dataset = open_dataset(settings(bids, "bids", bids=sections))
        dataset.check()
        assert dataset.training("01") == ["prince_run-1", "prince_run-2", "prince_run-10", "swim", "walk"]
        assert [path.name.split("_")[1] for path in dataset.response("01", "prince_run-2")] == [
            "ses-1",
            "ses-2",
        ]
        whole = open_dataset(settings(bids, "bids"))
        runs = [path.name.split("_")[1::2][1] for path in whole.response("01", "prince")]
        assert runs == ["run-1", "run-2", "run-10"] * 2
        with pytest.raises(UserError, match=r"have 21, 22, 30, .*dataset\.bids\.sections"):
            read_response_header(whole.response("01", "prince"), whole.reading("01"))

    def test_sections_need_their_label(self, bids):
        sections = {**BIDS, "sections": {"walk": ["run"]}}
        with pytest.raises(UserError, match=r"walk.*has no run-<label> in its name"):
            open_dataset(settings(bids, "bids", bids=sections)).check()
        sections = {**BIDS, "sections": {"Walks": ["run"]}}
        with pytest.raises(UserError, match=r"sections: no image has task Walks; did you mean walk"):
            open_dataset(settings(bids, "bids", bids=sections)).check()


def test_natural_order():
    names = ["ses-10_run-1", "ses-2_run-10", "ses-2_run-9", "a", "ses-2_run-09"]
    assert sorted(names, key=natural) == ["a", "ses-2_run-09", "ses-2_run-9", "ses-2_run-10", "ses-10_run-1"]


def said(seconds, each=0.5):
    return [TimedLabel(i * each, i * each + 0.4, "word") for i in range(int(seconds / each))]


class TestWordsSoundAndScans:
    clock = Clock(100, 0.0, 2.0, 0, 0)  # to 200 s

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (200, []),
            (190, []),
            (202, []),  # 4 of 404 words
            (205, ["10 of 410 words lie outside the scans (0 to 200 s)"]),
            (
                400,
                [
                    "400 of 800 words lie outside",
                    "last word ends at 399.9 s, its scans end at 200 s (100 TRs of 2 s)",
                ],
            ),
            (100, ["last word ends at 99.9 s, its scans end at 200 s"]),
        ],
    )
    def test_words(self, seconds, expected):
        lines = fit_of_words("walk.tsv", said(seconds), self.clock)
        assert len(lines) == len(expected)
        assert all(
            line.startswith("walk.tsv: ") and part in line for line, part in zip(lines, expected, strict=True)
        )

    def test_nothing_left(self):
        with pytest.raises(UserError, match=r"walk\.tsv: 790 of 800 words lie outside the scans"):
            fit_of_words(
                "walk.tsv",
                [word._replace(onset_s=word.onset_s * 1000 / 25) for word in said(400)],
                self.clock,
            )

    def test_sound(self, tmp_path):
        path = tmp_path / "walk.wav"
        soundfile.write(path, np.zeros(100 * 100, np.int16), 100)
        assert fit_of_sound(path, said(100), Clock(55, 0.0, 2.0)) == []
        words, scans = fit_of_sound(path, said(150), self.clock)
        assert "walk.wav: 100 of 300 words lie behind its end (100 s)" in words
        assert "ends at 100 s, the story's scans end at 200 s" in scans
        with pytest.raises(UserError, match="200 of 200 words lie behind its end"):
            fit_of_sound(path, said(200)[200:], self.clock)

    def test_a_lab_is_examined_as_a_whole(self, folder, tmp_path):
        dataset = open_dataset(settings(folder, "folder"))
        assert dataset.examine() == []
        (folder / "sounds").mkdir()
        soundfile.write(folder / "sounds/exam.wav", np.zeros(1000, np.int16), 100)
        assert len(dataset.examine()) == 2
        (folder / "v").mkdir()
        for subject in ("anna", "bob"):
            (folder / f"v/{subject}.tsv").write_text("voxel\n5\n")
        config = settings(folder, "folder", voxels=f"{folder}/v/{{subject}}.tsv")
        with pytest.raises(UserError, match=r"anna\.tsv: names voxel 5, .*; count from 0"):
            open_dataset(config).examine()


class TestArrayFiles:
    def test_matlab_v73(self, tmp_path):
        data, repeats = np.arange(12.0).reshape(4, 3), np.arange(24.0).reshape(2, 4, 3)
        with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
            for name, values in (("data", data), ("individual_repeats", repeats)):
                file[name] = values.T
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
        assert read_response_header([tmp_path / "a.h5"]) == (4, 3, 2, 0.0, None)
        with open_responses([tmp_path / "a.h5"]) as opened:
            np.testing.assert_array_equal(opened.data[..., 1:3], data[:, 1:3])
            np.testing.assert_array_equal(opened.repeats[..., 0:1], repeats[..., 0:1])

    def test_pandas(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_group("data").attrs["pandas_type"] = np.bytes_("frame")
        with pytest.raises(UserError, match=r"a\.h5: was written by pandas' to_hdf; save the array itself"):
            read_response_header([tmp_path / "a.h5"])

    def test_an_npz_called_npy(self, tmp_path):
        np.savez(tmp_path / "a.npz", data=np.ones((4, 3)))
        (tmp_path / "a.npz").rename(tmp_path / "a.npy")
        assert read_response_header([tmp_path / "a.npy"])[:3] == (4, 3, 0)
        with open_responses([tmp_path / "a.npy"]) as opened:
            assert opened.data.shape == (4, 3)

    def test_a_mask_with_a_fourth_axis_of_one(self, bids):
        path = bids / "sub-01/anat/sub-01_mask.nii.gz"
        mask = nibabel.load(path)
        inside = np.asanyarray(mask.dataobj)
        nibabel.save(nibabel.Nifti1Image(inside[..., None], mask.affine), path)
        assert read_response_header([bids / f"{WALK}.nii.gz"], Reading(masks=(path,)))[:2] == (
            24,
            int(inside.sum()),
        )

    def test_entities_choose_among_images_of_a_run(self, bids):
        for echo in (1, 2):
            shutil.copy(
                bids / f"{WALK}.nii.gz", bids / f"{WALK.replace('_space', f'_echo-{echo}_space')}.nii.gz"
            )
        with pytest.raises(UserError, match=r"is the same run as .*; pick one by .*dataset\.bids\.echo"):
            open_dataset(settings(bids, "bids")).check()
        for echo, found in ((None, WALK.split("/")[-1]), (2, "_echo-2_")):
            dataset = open_dataset(settings(bids, "bids", bids={**BIDS, "echo": echo}))
            assert found in dataset.response("01", "walk")[0].name
