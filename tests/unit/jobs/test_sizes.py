"""Sizes of a lab's own data: by headers and mask, and memory that covers what reading takes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from labs import STORIES, settings, write_bids, write_folder
from published import heard
from tiny_models import count_entry
from workflow.runs import smallest_config

from voxscale.dataset import response_files
from voxscale.dataset.kinds import open_dataset
from voxscale.errors import UserError
from voxscale.io import write_json
from voxscale.jobs import Job, Jobs, resources
from voxscale.jobs.resources import PLAIN
from voxscale.jobs.sizes import VOXELS, Sizes
from voxscale.models import MODELS, load_registry
from voxscale.study import load_study
from voxscale.study.config import complete, read_yaml
from voxscale.study.study import Study

HOME = Path(__file__).parents[3]


def study(root, kind):
    config = {"dataset": settings(root, kind), "sweeps": {"s": {"models": ["word_rate"]}}}
    full = complete(config)
    registry = load_registry({"word_rate": {"modality": "control"}})
    return Study(full, registry, open_dataset(full["dataset"]))


@pytest.mark.parametrize("suffix", ["hf5", "npy", "npz"])
def test_voxels_and_repeats_come_from_headers(tmp_path, suffix):
    write_folder(tmp_path, suffix)  # float32, 5 voxels
    sizes = Sizes(study(tmp_path, "folder"))
    assert sizes.voxels("anna") == 5
    assert sizes.repeat_trs("anna") == (0 if suffix == "npy" else 4 * STORIES["exam"])
    exam = 4 * 5 * STORIES["exam"]
    held = {"hf5": 0, "npy": 128 + 4 * 5 * STORIES["swim"], "npz": 5 * exam}
    assert sizes.held_responses("anna") == held[suffix]


def test_voxels_of_images_are_those_of_the_mask(tmp_path):
    write_bids(tmp_path)
    sizes = Sizes(study(tmp_path, "bids"))
    mask = nibabel.load(tmp_path / "sub-01/anat/sub-01_mask.nii.gz").get_fdata()
    assert sizes.voxels("01") == mask.sum()
    assert sizes.repeat_trs("01") == 3 * STORIES["exam"]


def test_files_that_cannot_be_read_are_left_to_the_job_that_says_so(tmp_path):
    write_folder(tmp_path, "npz")
    for path in (tmp_path / "responses/anna").iterdir():
        path.write_text("hello")
    sizes = Sizes(study(tmp_path, "folder"))
    assert (sizes.voxels("anna"), sizes.held_responses("anna")) == (VOXELS, 0.0)
    with pytest.raises(UserError, match=r"exam\.npz: is not a whole NumPy file"):
        response_files.read_response_header([tmp_path / "responses/anna/exam.npz"])


@pytest.mark.parametrize("slug", ["whisper-large", "whisper-tiny", "hubert-large", "opt-1.3b"])
def test_what_is_loaded_is_the_whole_model(tmp_path, slug):
    write_folder(tmp_path)
    registry = load_registry(read_yaml(MODELS))
    sizes = Sizes(replace(study(tmp_path, "folder"), registry=registry))
    assert sizes.loaded(slug) == pytest.approx(count_entry(registry[slug]).whole, rel=0.08)


MEASURE = """
import re, sys
from pathlib import Path
from labs import settings
from voxscale.dataset import open_dataset
from voxscale.dataset.preparation import prepare_responses
root, kind, subject, out = sys.argv[1:]
dataset = open_dataset(settings(root, kind))
sources = {story: dataset.response(subject, story) for story in dataset.recorded(subject)}
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
before = peak()
prepare_responses(out, sources, dataset.clocks, ["exam"], reading=dataset.reading(subject))
print(before, peak())
"""
VALUES = 60_000


def grow(root, kind):
    """The lab's files again, with many voxels."""
    random = np.random.default_rng(0)
    if kind == "bids":
        shape = (50, 40, 40)
        inside = np.zeros(shape, np.uint8)
        inside.reshape(-1)[:VALUES] = 1
        nibabel.save(nibabel.Nifti1Image(inside, np.eye(4)), root / "sub-01/anat/sub-01_mask.nii.gz")
        for path in root.glob("sub-01/*/func/*T1w*"):
            n_trs = nibabel.load(path).shape[3]  # of one seed: all runs of a story are alike
            values = np.random.default_rng(n_trs).integers(0, 9999, (*shape, n_trs)).astype(np.int16)
            image = nibabel.Nifti1Image(values, np.eye(4))
            image.header.set_slope_inter(0.5, 1)
            nibabel.save(image, path)
        return
    for path in (root / "responses/anna").iterdir():
        repeats = heard(random, 4 if path.stem == "exam" else 1, STORIES[path.stem], VALUES)
        if kind == "npy":
            np.save(path, repeats.mean(0))
        else:
            np.savez(path, data=repeats.mean(0), **({"repeats": repeats} if len(repeats) > 1 else {}))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "npz", "bids"])
def test_memory_covers_what_reading_takes(tmp_path, kind):
    layout, subject = ("bids", "01") if kind == "bids" else ("folder", "anna")
    (write_bids if kind == "bids" else lambda root: write_folder(root, kind))(tmp_path)
    grow(tmp_path, kind)
    need = Jobs(study(tmp_path, layout)).need(Job("prepare_responses", {"subject": subject}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path, layout, subject, tmp_path / "out.h5"],
        env={"PYTHONPATH": f"{HOME}/workflow/scripts:{HOME}/tests", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, most = map(float, done.stdout.split()[-2:])
    grown, predicted = most - before, need.memory_mb - PLAIN
    assert grown > 30, "too small to tell"
    assert grown < predicted < 3 * grown


def test_a_story_added_to_a_written_phantom_has_the_length_of_its_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = tmp_path / "results/phantom/derivative/respdict.json"
    write_json(written, {"nightbaker": 45, "thelighthousekeeper": 60})
    sizes = Sizes(load_study(smallest_config()))
    assert sizes.trs("nightbaker") == sizes.study.dataset.clock("nightbaker").n_response
    assert sizes.trs("beekeeping") > 10


def test_chunks_longer_than_the_training_stories_are_one_line():
    encoding = complete({"dataset": settings("x", "folder"), "sweeps": {"s": {"models": ["word_rate"]}}})
    folds = {"kind": "chunks", "n": 5, "chunk_trs": 40, "held_out_share": 0.2}
    with pytest.raises(UserError, match=r"config key encoding.folds: 16 training TRs hold 0 chunks of 40"):
        resources.fit([16], 8, 1, 20, encoding["encoding"] | {"folds": folds, "delays": [1]})


def test_gathering_counts_the_cells_that_choose_the_significant_voxels():
    paper = read_yaml(HOME / "config/paper.yaml")
    job = Job("gather_scores", {"selection": "maps"})
    by_maps, by_all = (
        Jobs(load_study(paper | {"scoring": {"significant_in": chosen_by}})).need(job)
        for chosen_by in ("maps", "models")
    )
    assert by_all.seconds > 2 * by_maps.seconds
    assert by_all.memory_mb > by_maps.memory_mb
