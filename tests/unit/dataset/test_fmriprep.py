"""fMRIPrep's derivatives: words counted at the times of the TRs come back through each form of images."""

import shutil

import nibabel
import numpy as np
import pytest
from fmriprep_lab import DUMMY, ONSET_S, SHAPE, SPACES, START_S, STORIES, TR_S, settings, write_fmriprep
from labs import drop, halve, image, run, text
from workflow.runs import smallest_config

from voxscale.dataset.geometry import Grayordinates, Surface, Volume
from voxscale.dataset.kinds import open_dataset
from voxscale.dataset.responses import open_subject
from voxscale.errors import UserError
from voxscale.features.controls import event_rate, read_tr_times
from voxscale.io import tables
from voxscale.jobs.sizes import Sizes
from voxscale.study import load_study

FORMS = {"volume": Volume, "surface": Surface, "grayordinates": Grayordinates}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    found = {}
    for form in FORMS:
        found[form] = tmp_path_factory.mktemp(form)
        write_fmriprep(found[form] / "lab", form, old=form == "surface")
    return found


def rates(out):
    """The control `word_rate` in the response TRs of each story."""
    for story in STORIES:
        words = tables.read("words", out / f"{story}/words.parquet", ["onset_s", "offset_s"])
        middle = (words["onset_s"].to_numpy() + words["offset_s"].to_numpy()) / 2
        clock = out / f"{story}/clock.parquet"
        kept = tables.read("clock", clock, ["in_response"])["in_response"].to_numpy()
        yield story, event_rate(middle, read_tr_times(clock))[kept, 0]


def correlations(out):
    """Of each voxel of each story with the word rate."""
    responses = open_subject(out / "01.h5")
    return {
        story: np.array([np.corrcoef(rate, voxel)[0, 1] if np.isfinite(voxel).all() else np.nan
                         for voxel in responses.read(story, slice(0, 400))])
        for story, rate in rates(out)
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_words_counted_at_the_times_of_the_trs_score_1(homes, form, tmp_path):
    """With slices corrected to another time than the middle, dummy scans, and confounds in the responses."""
    dataset = open_dataset(settings(homes[form] / "lab", form))
    run(dataset, tmp_path)
    assert dataset.examine() == []
    assert not dataset.has_repeats("01")  # the two files of a surface are one run
    geometry = dataset.geometry("01")
    assert isinstance(geometry, FORMS[form])
    responses = open_subject(tmp_path / "01.h5")
    assert responses.n_voxels == geometry.n_voxels
    assert {story: responses.n_trs(story) for story in STORIES} == {s: n - DUMMY for s, n in STORIES.items()}
    assert dataset.clock("walk").response_onset_s == pytest.approx(
        ONSET_S + DUMMY * TR_S + START_S - TR_S / 2
    )
    for found in correlations(tmp_path).values():
        unusable = {"volume": 1, "surface": 2, "grayordinates": 0}[form]  # voxel 70 is not in the mask
        assert np.isnan(found).sum() == unusable
        np.testing.assert_allclose(found[np.isfinite(found)], 1, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"start_time_s": TR_S / 2}, {"dummy_scans": DUMMY - 1}, {"confounds": {"strategy": []}}],
    ids=["another time of slices", "a dummy scan too few", "confounds kept"],
)
def test_each_of_these_is_needed(homes, changes, tmp_path):
    lab = homes["grayordinates"] / "lab"
    run(open_dataset(settings(lab, "grayordinates", **changes)), tmp_path)
    assert all(np.median(found) < 0.95 for found in correlations(tmp_path).values())


def test_the_voxels_of_volumes_are_those_of_all_masks(homes):
    masks = sorted((homes["volume"] / "lab").rglob("*brain_mask.nii.gz"))
    common = np.all([np.asanyarray(nibabel.load(path).dataobj) for path in masks], axis=0)
    geometry = open_dataset(settings(homes["volume"] / "lab", "volume")).geometry("01")
    np.testing.assert_array_equal(geometry.inside, common)
    fewer = settings(homes["volume"] / "lab", "volume") | {"training_stories": ["walk"]}
    assert open_dataset(fewer).geometry("01").same_as(geometry)  # the choice of stories changes no column
    assert "mask keeps the numbers" in open_dataset(fewer | {"voxels": "table.tsv"}).notes[-1]
    assert geometry.inside.shape == SHAPE
    assert 0 < common.sum() < 6 * 6 * 4


@pytest.mark.parametrize("form", FORMS)
def test_a_space_that_the_config_does_not_name_is_that_of_the_files(homes, form):
    config = settings(homes[form] / "lab", form)
    del config["fmriprep"]["space"]
    assert open_dataset(config).geometry("01").space == SPACES[form]


@pytest.mark.parametrize("form", ["surface", "grayordinates"])
def test_what_a_lab_has_cleaned_is_read_as_it_is(homes, form, tmp_path):
    """Images on surfaces and of grayordinates, by kind `bids`; they need no mask."""
    config = settings(homes[form] / "lab", form) | {"kind": "bids", "bids": {"space": SPACES[form]}}
    dataset = open_dataset(config)
    run(dataset, tmp_path)
    responses = open_subject(tmp_path / "01.h5")
    assert responses.n_trs("walk") == STORIES["walk"]
    assert dataset.clock("walk").response_onset_s == ONSET_S
    assert np.nanmin(np.nanmean(responses.read("walk", slice(0, 50)), axis=1)) > 500


def test_voxels_without_a_value_in_any_story_are_counted_once(homes, tmp_path, capsys):
    run(open_dataset(settings(homes["surface"] / "lab", "surface")), tmp_path)
    warned = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert warned == [
        f"WARNING {tmp_path}/01.h5: 2 of 600 voxels have no value in any story and are scored NaN"
    ]


def test_the_plan_knows_the_sizes_of_images(homes):
    for form, home in homes.items():
        config = smallest_config() | {"dataset": settings(home / "lab", form)}
        del config["phantom"]
        study = load_study(config)
        sizes = Sizes(study)
        assert sizes.voxels("01") == study.dataset.geometry("01").n_voxels
        assert sizes.trs("walk") == STORIES["walk"] - DUMMY
        # A run as read, and as cleaned, and the blocks of the cleaning.
        assert sizes.held_responses("01") > 8 * max(STORIES.values()) * sizes.voxels("01") + 1e8


FUNC = "sub-01/func/sub-01_task-walk"
MNI = f"{FUNC}_space-MNI152NLin2009cAsym_res-2_desc"
CONFOUNDS = f"{FUNC}_desc-confounds_timeseries.tsv"


def lines(change):
    """Change the lines of the table of confounds."""
    return lambda root, config: text(CONFOUNDS, change((root / CONFOUNDS).read_text()))(root, config)


def block(**changes):
    return lambda root, config: config["fmriprep"].update(changes)


def strategy(*names, **changes):
    return lambda root, config: config["fmriprep"]["confounds"].update({"strategy": list(names), **changes})


def another(old, new):
    return lambda root, config: shutil.copy(root / old, root / new)


def another_axis(root, config):
    path = root / f"{FUNC}_space-fsLR_den-91k_bold.dtseries.nii"
    image = nibabel.load(path)
    time, places = (image.header.get_axis(i) for i in (0, 1))
    data = np.asanyarray(image.dataobj).copy()  # not as mapped from the file that is written
    nibabel.save(nibabel.Cifti2Image(data, (time, places[::-1])), path)


BAD = {  # form, change, line
    "no table of confounds": ("volume", drop(CONFOUNDS), "has no table ..._desc-confounds_timeseries.tsv"),
    "two tables": (
        "volume",
        another(CONFOUNDS, CONFOUNDS.replace("timeseries", "regressors")),
        "has two tables of confounds, .*leave one",
    ),
    "a table of other TRs": (
        "volume",
        lines(lambda text: text.rsplit("\n", 2)[0] + "\n"),
        "timeseries.tsv: has 75 rows, .* has 76 TRs",
    ),
    "a column that is missing": (
        "volume",
        lines(lambda text: text.replace("white_matter", "wm", 1)),
        "timeseries.tsv: has no column white_matter(, white_matter_\\w+)*; choose others by config key",
    ),
    "holes in a column": (
        "volume",
        lines(lambda text: "\t".join(["n/a" if i == 305 else c for i, c in enumerate(text.split("\t"))])),
        "column .* has values that are not finite",
    ),
    "compcor without high_pass": (
        "volume",
        strategy("motion", "compcor"),
        "strategy: compcor needs high_pass",
    ),
    "two filters": ("volume", block(high_pass_hz=0.01), "high_pass_hz: strategy high_pass .* choose one"),
    "no brain mask": (
        "volume",
        drop(f"{MNI}-brain_mask.nii.gz"),
        "brain_mask.nii.gz: no such file; get the brain mask of each run, or config key dataset",
    ),
    "a mask of another grid": (
        "volume",
        image(f"{MNI}-brain_mask.nii.gz", (*SHAPE,), np.eye(4)),
        "brain_mask.nii.gz: is not on the grid of .*; the runs of a subject must have one grid",
    ),
    "another resolution": (
        "volume",
        another(f"{MNI}-preproc_bold.nii.gz", f"{MNI.replace('res-2', 'res-3')}-preproc_bold.nii.gz"),
        "is the same run as .*; pick one by config key dataset.fmriprep.res",
    ),
    "another space": (
        "volume",
        block(space="fsaverage6"),
        "no BOLD image space-fsaverage6 .*config key dataset.fmriprep .*space-MNI152NLin2009cAsym res-2",
    ),
    "slices corrected to another time": (
        "volume",
        text(f"{MNI}-preproc_bold.json", '{"RepetitionTime": 1.5, "StartTime": 1.2}'),
        "stand for 1.2 s after their start, others for 0.4 s; .*dataset.fmriprep.start_time_s",
    ),
    "a StartTime that is none": (
        "volume",
        text(f"{MNI}-preproc_bold.json", '{"RepetitionTime": 1.5, "StartTime": 3}'),
        "preproc_bold.json: StartTime is 3; it must be seconds, from 0 to 1.5",
    ),
    "nothing but dummy scans": ("volume", block(dummy_scans=70), "no TR left without 70 dummy scans"),
    "one hemisphere": ("surface", drop(f"{FUNC}_*hemi-R_bold.func.gii"), "has no hemi-R beside it"),
    "a surface that is cut off": ("surface", halve(f"{FUNC}_space-fsaverage5_hemi-L_bold.func.gii"), "GIFTI"),
    "smoothed surfaces": ("surface", block(smoothing_mm=4.0), "smoothing_mm: only volumes are smoothed"),
    "other grayordinates": ("grayordinates", another_axis, "has 118 grayordinates, .* or others; all runs"),
    "grayordinates that are cut off": (
        "grayordinates",
        halve(f"{FUNC}_space-fsLR_den-91k_bold.dtseries.nii"),
        "dtseries.nii: (is cut off|is not a NIfTI image|declares)",
    ),
}


def used(dataset, out):
    """As in a run: the files are looked at before the first job."""
    dataset.check()
    dataset.examine()
    run(dataset, out)


@pytest.mark.parametrize("kind", BAD)
def test_bad_derivatives_end_in_one_line(homes, tmp_path, kind):
    form, change, line = BAD[kind]
    root = tmp_path / "lab"
    shutil.copytree(homes[form] / "lab", root)
    config = settings(root, form)
    change(root, config)
    with pytest.raises(UserError, match=line) as error:
        used(open_dataset(config), tmp_path)
    assert "\n" not in str(error.value)
