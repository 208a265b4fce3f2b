"""A small output folder of fMRIPrep, in its names and headers; responses are the words counted here."""

import json

import nibabel
import numpy as np
import pandas as pd
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

STORIES = {"walk": 76, "swim": 68, "climb": 72, "exam": 70}  # TRs of the files
TR_S, ONSET_S = 1.5, -6.0  # of the scanner, which begins before the sound
START_S, DUMMY = 0.4, 3  # slices are corrected to 0.4 s after a TR's start; TRs before a steady state
SPACES = {"volume": "MNI152NLin2009cAsym", "surface": "fsaverage5", "grayordinates": "fsLR"}
SHAPE, N_VERTICES = (8, 8, 6), 300  # of a hemisphere
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
NOISY = [*MOTION, *(f"{name}_derivative1" for name in MOTION)]
NOISY += ["csf", "white_matter", "global_signal", "cosine00", "cosine01"]
COMPONENTS = [f"a_comp_cor_{i:02}" for i in range(6)]
QUIET = [f"{name}{end}" for name in MOTION for end in ("_power2", "_derivative1_power2")]
QUIET += [*COMPONENTS, "framewise_displacement"]


def counted(words, n_trs):
    """Words per second around the time that each TR of the files stands for."""
    middle = np.array([(onset + offset) / 2 for onset, offset, _ in words])
    times = ONSET_S + TR_S * np.arange(n_trs) + START_S
    return np.array([((middle >= t - TR_S / 2) & (middle < t + TR_S / 2)).sum() / TR_S for t in times])


def brain_axis():
    """Vertices of both cortices without their medial walls, and a few voxels below."""
    left, right = (np.delete(np.arange(60), np.arange(start, start + 5)) for start in (0, 20))
    cortex = [
        BrainModelAxis.from_surface(left, 60, "CortexLeft"),
        BrainModelAxis.from_surface(right, 60, "CortexRight"),
    ]
    below = BrainModelAxis.from_mask(np.ones((2, 2, 2), bool), "ThalamusLeft", np.diag([2.0, 2, 2, 1]))
    return cortex[0] + cortex[1] + below


def write_fmriprep(root, form="volume", folder=".", old=False):
    """Every story of one subject in one run of one form (`old`: in the names of fMRIPrep before 20.2).

    A voxel's responses are 1,000 and multiples of the words counted and of noise that only the confounds
    have. Two voxels of surfaces and volumes never change, or are NaN.
    """
    func = root / folder / "sub-01/func"
    func.mkdir(parents=True)
    random = np.random.default_rng(5)
    (root / "stimuli").mkdir(parents=True)
    lines = ["story\tn_tr\tonset_s", *(f"{story}\t{n}\t{ONSET_S}" for story, n in STORIES.items())]
    (root / "trs.tsv").write_text("\n".join(lines) + "\n")
    for story, n_trs in STORIES.items():
        onsets = np.arange(0, n_trs * TR_S + ONSET_S - 1, 0.2)
        onsets = onsets[random.random(len(onsets)) < 0.4]
        words = [(t, t + 0.15, f"{story}{i}") for i, t in enumerate(onsets)]
        rows = [f"{a}\t{b - a}\t{word}\n" for a, b, word in words]
        (root / f"stimuli/{story}.tsv").write_text("onset\tduration\tword\n" + "".join(rows))
        rate = counted(words, n_trs)
        noise = _write_confounds(func / f"sub-01_task-{story}", rate, random, old)
        _write_run(func, f"sub-01_task-{story}", form, rate, noise, random, old)


def _write_confounds(stem, rate, random, old):
    """fMRIPrep's table of a run; but for the dummy scans nothing resembles the rate. (TRs, noisy columns)."""
    names = [*NOISY, *QUIET]
    values = random.standard_normal((len(rate), len(names)))
    steady = slice(DUMMY, None)
    design = np.column_stack([np.ones(len(rate) - DUMMY), rate[steady]])
    values[steady] -= design @ np.linalg.lstsq(design, values[steady], rcond=None)[0]
    table = pd.DataFrame(values, columns=names)
    noise = table[NOISY].to_numpy()
    table.loc[0, [name for name in names if "derivative1" in name]] = np.nan
    marks = pd.DataFrame(np.eye(len(rate), DUMMY, dtype=int)).rename(
        columns="non_steady_state_outlier{:02}".format
    )
    kind = "regressors" if old else "timeseries"
    path = stem.with_name(f"{stem.name}_desc-confounds_{kind}.tsv")
    table.join(marks).to_csv(path, sep="\t", na_rep="n/a", index=False)
    about = {name: {"Mask": "combined", "Method": "aCompCor"} for name in COMPONENTS}
    path.with_suffix(".json").write_text(json.dumps(about))
    return noise


def _write_run(func, stem, form, rate, noise, random, old):
    n_trs = len(rate)
    n_voxels = {"volume": np.prod(SHAPE), "surface": 2 * N_VERTICES}.get(form) or len(brain_axis())
    noise = noise @ random.normal(0, 3, (noise.shape[1], n_voxels))
    data = (1000 + np.outer(rate, 5 + np.arange(n_voxels) % 7) + noise).astype(np.float32)
    data[:DUMMY] += 500
    if form != "grayordinates":
        data[:, 70], data[:, 71] = 0, np.nan
    about = {"RepetitionTime": TR_S, "SliceTimingCorrected": True, "StartTime": START_S, "TaskName": "story"}
    space = SPACES[form]
    if form == "volume":
        stem += f"_space-{space}_res-2"
        affine = np.diag([-2.0, 2, 2, 1])
        affine[:3, 3] = -44, -34, -4  # left superior temporal cortex
        mask = np.zeros(SHAPE, np.uint8)
        mask[1:7, 1:7, 1:5] = 1
        mask[1, 1, 1 + len(rate) % 3] = 0  # masks of runs differ
        nibabel.save(nibabel.Nifti1Image(mask, affine), func / f"{stem}_desc-brain_mask.nii.gz")
        image = nibabel.Nifti1Image(data.T.reshape(*SHAPE, n_trs), affine)
        image.header.set_zooms((2, 2, 2, TR_S))
        nibabel.save(image, func / f"{stem}_desc-preproc_bold.nii.gz")
        (func / f"{stem}_desc-preproc_bold.json").write_text(json.dumps(about))
    elif form == "surface":
        for i, side in enumerate("LR"):
            name = f"{stem}_space-{space}_hemi-{side}" if old else f"{stem}_hemi-{side}_space-{space}"
            part = data[:, i * N_VERTICES : (i + 1) * N_VERTICES]
            arrays = [
                nibabel.gifti.GiftiDataArray(
                    row, intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32"
                )
                for row in part
            ]
            nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), func / f"{name}_bold.func.gii")
            (func / f"{name}_bold.json").write_text(json.dumps(about))
    else:
        stem += f"_space-{space}_den-91k_bold"
        image = Cifti2Image(data, (SeriesAxis(0, TR_S, n_trs), brain_axis()))
        image.update_headers()
        nibabel.save(image, func / f"{stem}.dtseries.nii")
        (func / f"{stem}.json").write_text(json.dumps(about))


def settings(root, form, **changes):
    """The config's block of the folder, complete."""
    block = {
        "folder": ".",
        "space": SPACES[form],
        "dummy_scans": "auto",
        "start_time_s": "auto",
        "smoothing_mm": None,
        "detrend": False,
        "high_pass_hz": None,
        "confounds": {
            "strategy": ["motion", "high_pass", "wm_csf", "global_signal"],
            "motion": "derivatives",
            "wm_csf": "basic",
            "global_signal": "basic",
            "compcor": "anat_combined",
            "n_compcor": "all",
        },
    }
    return {
        "kind": "fmriprep",
        "root": str(root),
        "subjects": ["01"],
        "test_stories": ["exam"],
        "trim": [6, 2],
        "fmriprep": block | changes,
    }
