"""A study without a story to spare: each is tested on once, and nothing was repeated."""

import numpy as np
import pandas as pd
import pytest
from labs import TR_S, write_folder
from workflow.runs import snakemake, tiny_config

from voxscale.encoding import MomentsFile


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("turns")
    write_folder(home / "lab", "npy")  # without repeats
    config = tiny_config()
    del config["phantom"]
    config["dataset"] = {
        "kind": "folder",
        "root": str(home / "lab"),
        "subjects": ["anna"],
        "test_stories": {"folds": "each"},
        "tr_s": TR_S,
        "trim": [6, 2],
    }
    config["scoring"] = {"skip_s": 0, "block_trs": 8, "permutations": 50}
    config["sweeps"] = {"size": {"models": ["word_rate"], "n_train": ["all"]}}
    run = snakemake(home, config=config)
    assert run.status == 0, run.text[-3000:]
    (home / "run.txt").write_text(run.text)
    return home


def test_each_story_is_tested_on_once(home):
    subjects = pd.read_parquet(home / "results/subjects/anna.parquet")
    assert sorted(subjects.role) == ["fold 1", "fold 2", "fold 3"]
    blocks = MomentsFile(next((home / "results/moments").rglob("*.h5"))).blocks
    assert blocks.crossed
    assert blocks.n.sum() == subjects.n_tr.sum()
    summary = pd.read_parquet(home / "results/tables/all/summary.parquet")
    assert np.isfinite(summary.mean_r).any()
    report = (home / "results/report.html").read_text()
    assert "Stories are tested on in turn, in folds (anna 3)" in report


def test_a_study_without_a_ceiling_says_so_once(home):
    text, report = (home / "run.txt").read_text(), (home / "results/report.html").read_text()
    for said in (text, report):
        assert said.count("no noise ceiling (no test story was heard twice)") == 1
    assert "Noise ceilings" not in report
    assert not list((home / "results/figures").glob("*ceiling*"))
    assert text.count("WARNING") == 3  # this, folds, and few training stories
    voxels = pd.read_parquet(home / "results/tables/all/voxels.parquet")
    assert voxels.ccmax.isna().all()
    assert not voxels.reliable.any()
