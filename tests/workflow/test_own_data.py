"""The phantom as a lab's own folder and as BIDS images: whole studies from either, and the same scores."""

import gzip
import os
import re
import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from workflow.runs import HOME, snakemake, tiny_config

from voxscale.dataset.responses import open_subject
from voxscale.dataset.transcripts import read_transcript
from voxscale.jobs import changed_sources, check_files, load_jobs
from voxscale.phantom.writing import scan_subject, write_stimuli

SUBJECTS = ["anna", "bob"]
TEST = "thelighthousekeeper"
TRAINING = ["beekeeping", "nightbaker", "thelasttrain", "wintercrossing"]
VOXELS, SHAPE = 60, (6, 5, 4)
EXPORTED = "results/export/anna/model-mel_layer-0_n-4"
LEFT_OUT = (3, 17, 59)  # voxels that the folder's table does not keep


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The phantom in the published layout, and (subject, story) -> (data, repeats) of its scans."""
    root = tmp_path_factory.mktemp("published")
    settings = {
        "seed": 1,
        "voxels": VOXELS,
        "repeats": 4,
        "words_per_story": 60,
        "words_per_minute": 140,
        "test_stories": [TEST],
        "training_stories": TRAINING,
        "skip_s": 20,
    }
    write_stimuli(root, root / "truth", settings)
    scans = {}
    for subject in SUBJECTS:
        scan_subject(root, root / "truth", subject)
        for story in [*TRAINING, TEST]:
            with h5py.File(root / f"derivative/preprocessed_data/{subject}/{story}.hf5") as file:
                repeats = file["individual_repeats"][:] if story == TEST else None
                scans[subject, story] = file["data"][:].astype(np.float32), repeats
    return root, scans


def write_trs(root, scans):
    # The first row that is kept of the published clock is its TR 10, 2 · 10 − 10 s after the sound's start.
    rows = [f"{story}\t{len(scans[SUBJECTS[0], story][0])}\t10.0\n" for story in [*TRAINING, TEST]]
    (root / "trs.tsv").write_text("story\tn_tr\tonset_s\n" + "".join(rows))


def write_words(path, published, story):
    path.parent.mkdir(parents=True, exist_ok=True)
    words, _ = read_transcript(published / f"derivative/TextGrids/{story}.TextGrid")
    rows = [f"{w.onset_s:.6f}\t{w.offset_s - w.onset_s:.6f}\t{w.label}\n" for w in words]
    path.write_text("onset\tduration\tword\n" + "".join(rows))


def write_folder(root, published, scans):
    """Transcripts of both kinds, responses of every kind, and a table of voxels."""
    for folder in ("words", "sounds", "voxels", *(f"responses/{subject}" for subject in SUBJECTS)):
        (root / folder).mkdir(parents=True)
    for i, story in enumerate([*TRAINING, TEST]):
        if i % 2:
            write_words(root / f"words/{story}.tsv", published, story)
        else:
            shutil.copy(published / f"derivative/TextGrids/{story}.TextGrid", root / "words")
        shutil.copy(published / f"stimuli/{story}.wav", root / "sounds")
        for subject in SUBJECTS:
            data, repeats = scans[subject, story]
            path = root / f"responses/{subject}/{story}"
            if repeats is not None:
                np.savez(path.with_suffix(".npz"), data=data, repeats=repeats)
            elif i % 2:
                np.save(path.with_suffix(".npy"), data)
            else:
                with h5py.File(path.with_suffix(".hf5"), "w") as file:
                    file["data"] = data
    for subject in SUBJECTS:
        table = pd.read_csv(published / f"derivative/voxels/{subject}.tsv", sep="\t")
        table["keep"] = ["no" if voxel in LEFT_OUT else "yes" for voxel in table.voxel]
        table["roi"] += "_" + table.hemisphere
        table.to_csv(root / f"voxels/{subject}.tsv", sep="\t", index=False)
    write_trs(root, scans)


def write_bids(root, published, scans):
    """Images whose mask picks the phantom's voxels in their order; the test story's repeats are its runs."""
    (root / "stimuli").mkdir(parents=True)
    inside = np.zeros(SHAPE, bool)
    inside.flat[::2] = True  # 60 voxels
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    for story in [*TRAINING, TEST]:
        write_words(root / f"stimuli/{story}.tsv", published, story)
        shutil.copy(published / f"stimuli/{story}.wav", root / "stimuli")
    for subject in SUBJECTS:
        folder = root / f"sub-{subject}"
        (folder / "func").mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(inside.astype(np.uint8), affine), folder / "mask.nii.gz")
        for story in [*TRAINING, TEST]:
            data, repeats = scans[subject, story]
            for number, run in enumerate([data] if repeats is None else repeats, start=1):
                image = np.zeros((*SHAPE, len(run)), np.float32)
                image[inside] = run.T
                label = f"_run-{number}" if repeats is not None else ""
                name = f"sub-{subject}_task-{story}{label}_space-T1w_bold.nii.gz"
                nibabel.save(nibabel.Nifti1Image(image, affine), folder / "func" / name)
    write_trs(root, scans)


def own_features(root, published):
    """Files for the example of docs/features.md, and its part of a config, for one subject."""
    for folder in ("parser", "loudness"):
        (root / folder).mkdir()
    labels = set()
    for story in [*TRAINING, TEST]:
        words, _ = read_transcript(published / f"derivative/TextGrids/{story}.TextGrid")
        labels |= {word.label for word in words}
        lengths = np.array([[len(word.label), 1.0] for word in words])
        np.savez(root / f"parser/{story}.npz", layer_0=lengths[:, ::-1], layer_4=lengths)
        sound, rate = soundfile.read(published / f"stimuli/{story}.wav")
        tenths = sound[: len(sound) // (rate // 10) * (rate // 10)].reshape(-1, rate // 10)
        np.save(root / f"loudness/{story}.npy", np.log(tenths.std(1) + 1e-4))
    lines = [f"{word} {len(word)} 0.5 -{i}\n" for i, word in enumerate(sorted(labels))]
    (root / "glove.6B.50d.txt").write_text("".join(lines[::2]))
    with gzip.open(root / "glove.42B.50d.txt.gz", "wt") as file:
        file.write(f"{len(lines)} 3\n" + "".join(lines))
    example = yaml.safe_load(
        re.search(r"```yaml\n(.*?)```", (HOME / "docs/features.md").read_text(), re.DOTALL)[1]
    )
    for sweep in example["sweeps"].values():
        sweep["subjects"] = ["anna"]
    return example


def study(root, kind, **more):
    config = tiny_config()
    del config["phantom"]
    config["dataset"] = {
        "kind": kind,
        "root": str(root),
        "subjects": SUBJECTS,
        "test_stories": [TEST],
        **more,
    }
    config["sweeps"] = {"size": {"models": ["tiny-opt-1", "mel"], "n_train": ["all"]}}
    return config


@pytest.fixture(scope="module")
def folder(published, tmp_path_factory):
    home = tmp_path_factory.mktemp("folder")
    write_folder(home / "lab", *published)
    (home / "lab/responses/bob/old.mat").write_text("MATLAB 5.0")
    table = home / "lab/voxels/bob.tsv"
    table.write_text(table.read_text().replace("\n", "\tn\n").replace("\tn\n", "\tlobe\n", 1))
    config = study(home / "lab", "folder", tr_s=2.0, voxels=str(home / "lab/voxels/{subject}.tsv"))
    for key, block in own_features(home / "lab", published[0]).items():
        config[key] = config.get(key, {}) | block
    config["comparisons"] = {"text": {"a": {"model": "tiny-opt-1"}, "b": {"model": "mel"}}}
    run = snakemake(home, config=config)
    assert run.status == 0, run.text[-3000:]
    (home / "run.txt").write_text(run.text)
    return home


@pytest.fixture(scope="module")
def bids(published, tmp_path_factory):
    home = tmp_path_factory.mktemp("bids")
    write_bids(home / "lab", *published)
    (home / "lab/bold.json").write_text('{"RepetitionTime": 2.0}')
    config = study(home / "lab", "bids", bids={"space": "T1w", "mask": "{subject}/mask.nii.gz"})
    run = snakemake(home, "all", EXPORTED, config=config)
    assert run.status == 0, run.text[-3000:]
    return home


def test_two_fits_and_two_sides_are_compared(folder):
    sets = pd.read_parquet(folder / "results/comparisons/text-sets.parquet")
    assert set(sets.subject) == {*SUBJECTS, "pooled"}
    asymmetry = pd.read_parquet(folder / "results/tables/asymmetry.parquet")
    assert set(sets.voxel_set) >= {f"roi:{name}_left" for name in asymmetry.region}
    for figure in ("comparison_text", "asymmetry", "lag_scan"):
        assert (folder / f"results/figures/{figure}.png").stat().st_size > 1000
    assert "Differences" in (folder / "results/report.html").read_text()


def test_features_of_one_s_own_end_in_a_law_over_a_column_of_one_s_own(folder):
    summary = pd.read_parquet(folder / "results/tables/words/summary.parquet")
    assert dict(zip(summary.model, summary.width, strict=True)) == {
        "parser": 2,
        "glove-6b": 3,
        "glove-42b": 3,
    }
    assert set(summary.layer[summary.model == "parser"]) == {4}
    points = pd.read_parquet(folder / "results/laws/tokens-points.parquet")
    assert dict(zip(points.model, points.x, strict=True)) == {
        "parser": 1e6,
        "glove-6b": 6e9,
        "glove-42b": 4.2e10,
    }
    assert set(points.x_name) == {"tokens_seen"}
    assert (folder / "results/figures/law_tokens.png").stat().st_size > 1000
    page = (folder / "results/report.html").read_text()
    assert "glove-6b: more than 10% of the words have no vector in lab/glove.6B" in page
    assert "and 4 feature spaces of its own" in page


CHANGED = {  # a file of the lab, and rules whose outputs were made from it
    "words/beekeeping.TextGrid": {"read_story"},
    "trs.tsv": {"read_story", "prepare_responses"},
    "sounds/nightbaker.wav": {"digest_sounds", "extract_control_features"},
    "responses/bob/nightbaker.npy": {"digest_responses", "prepare_responses"},
    "loudness/nightbaker.npy": {"prepare_model", "extract_own_features"},
    "voxels/anna.tsv": {"estimate_ceiling", "gather_scores"},
    "mask.nii.gz": {"digest_responses", "prepare_responses"},
}


def put_in_place(path, content):
    """Another file, with the time of the one that was there."""
    about = path.stat()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("name", CHANGED)
def test_an_input_that_was_replaced_and_kept_its_time_is_noticed(request, monkeypatch, name):
    """Also where `.snakemake` was deleted: both comparisons go by what the results say."""
    home = request.getfixturevalue("bids" if "mask" in name else "folder")
    monkeypatch.chdir(home)
    jobs = load_jobs("study.yaml")
    assert not changed_sources(jobs)
    path = next(Path("lab").rglob(name))
    content = path.read_bytes()
    put_in_place(path, content[:-1] + bytes([content[-1] ^ 1]))
    try:
        changed, found = changed_sources(jobs), check_files(jobs).problems
    finally:
        put_in_place(path, content)
    rules = {job.rule for job in jobs.all() for output in job.outputs if output in changed}
    assert rules == CHANGED[name]
    assert {file for files in changed.values() for file in files} == {path}
    assert [line for line in found if line.startswith(f"{path}: has changed since ")], found
    assert not changed_sources(jobs), "only the content counts"


def test_touched_inputs_remake_nothing(folder):
    for path in (folder / "lab").rglob("*.*"):
        path.touch()
    run = snakemake(folder, "--dry-run", "--configfile", folder / "study.yaml")
    assert "Nothing to be done" in run.text, run.text[-2000:]


def scores(home):
    return pd.read_parquet(home / "results/tables/all/scores.parquet")


def test_a_folder_ends_in_a_report(folder, published):
    page = (folder / "results/report.html").read_text()
    assert "anna" in page
    kept = [voxel for voxel in range(VOXELS) if voxel not in LEFT_OUT]
    for (subject, story), (data, _) in published[1].items():
        responses = open_subject(folder / f"results/responses/{subject}.h5")
        assert responses.voxels.tolist() == kept
        np.testing.assert_allclose(responses.read(story), data[:, kept].T, rtol=1e-6)
    assert set(scores(folder).voxel) == set(kept)
    summary = pd.read_parquet(folder / "results/tables/all/summary.parquet")
    assert {"roi:language_left", "roi:language_right"} <= set(summary.voxel_set)


def test_what_is_not_read_is_said_before_the_first_job_and_in_the_report(folder):
    before, _ = re.split(r"^ *1/\d+ ", (folder / "run.txt").read_text(), maxsplit=1, flags=re.MULTILINE)
    # By the names of files, and by their content.
    for line in ("lab/responses/bob: old.mat not read; files of", "lab/voxels/bob.tsv: column lobe not read"):
        assert [part for part in before.split("WARNING ")[1:] if line in part]
        assert (folder / "results/report.html").read_text().count(line) == 1


def test_images_end_in_a_report(bids, published):
    assert "Traceback" not in (bids / "results/report.html").read_text()
    for (subject, story), (data, _) in published[1].items():
        responses = open_subject(bids / f"results/responses/{subject}.h5")
        np.testing.assert_allclose(responses.read(story), data.T, rtol=1e-5, atol=1e-6)
    assert len(scores(bids)) == 2 * 2 * VOXELS


def test_a_target_makes_images_of_scores(bids):
    image = nibabel.load(bids / EXPORTED / "sub-anna_space-T1w_model-mel_layer-0_n-4_stat-r.nii.gz")
    r = scores(bids).query("subject == 'anna' and model == 'mel'").sort_values("voxel").r
    inside = nibabel.load(bids / "lab/sub-anna/mask.nii.gz").get_fdata() > 0
    np.testing.assert_array_equal(image.get_fdata()[inside], r.astype(np.float32))
    assert np.isnan(image.get_fdata()[~inside]).all()


def test_both_forms_give_the_same_scores(folder, bids):
    keys = ["model", "layer", "subject", "n_train", "voxel"]
    one, other = scores(folder), scores(bids)
    both = one.merge(other, on=keys, suffixes=("", "_images"))
    assert len(both) == one.model.isin(other.model).sum()
    np.testing.assert_allclose(both.r, both.r_images, atol=1e-5)
    assert both.r[both.model == "mel"].max() > 0.3  # and they are scores of something


def test_the_sounds_are_those_of_the_phantom(published):
    sound, rate = soundfile.read(published[0] / f"stimuli/{TEST}.wav")
    assert rate == 16_000
    assert sound.std() > 0.01
