"""Real responses from a small download: read from pickles without running them, and written as a dataset."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_components import convert_components, read_frame
from workflow.runs import HOME

from voxscale.errors import UserError
from voxscale.io import read_rows
from voxscale.jobs import load_jobs, plan_rows

TEXT = ["", "the old house", "stood", 'there, "empty"']


def write_frames(root, text=TEXT, subjects=("UTS01", "UTS02", "UTS03"), stories=("smoke", "pluto")):
    rng = np.random.default_rng(0)
    for subject in subjects:
        for story in stories:
            path = root / subject / "train" / f"{story}.pkl"
            path.parent.mkdir(parents=True, exist_ok=True)
            index = pd.Index(text, dtype=object)
            pd.DataFrame(rng.standard_normal((len(text), 200)), index=index).to_pickle(path)
    return root


def test_frames_become_a_dataset_of_the_workflow(tmp_path):
    frames = write_frames(tmp_path / "frames")
    said = convert_components(frames, tmp_path / "components")
    assert said == "2 stories, 0.0 hours, 12 words"
    words = read_rows(tmp_path / "components/words/smoke.tsv", ("onset", "duration", "word"))
    found = [(float(row["onset"]), float(row["duration"]), row["word"]) for row in words]
    # The words of row 1 were said in the TR before it, which is on from 10 to 12 s.
    assert found[:3] == [(10.0, 0.667, "the"), (10.667, 0.667, "old"), (11.333, 0.667, "house")]
    assert found[-1] == (15.0, 1.0, '"empty"')
    wanted = read_frame(frames / "UTS02/train/pluto.pkl").to_numpy(np.float32)
    assert np.array_equal(np.load(tmp_path / "components/responses/UTS02/pluto.npy"), wanted)


def test_the_study_of_it_can_be_planned(tmp_path, monkeypatch):
    stories = ("wheretheressmoke", "onapproachtopluto", "fromboyhoodtofatherhood")
    stories += tuple(f"story{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(42))
    frames = write_frames(tmp_path / "frames", ["", *TEXT * 30], stories=stories)
    monkeypatch.chdir(tmp_path)
    convert_components(frames, Path("data/components"))
    rows = plan_rows(load_jobs([HOME / "config/real.yaml"], tmp_path))
    assert "fit_encoding" in str(rows)


class Mark:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Mark(tmp_path / "mark")))
    with pytest.raises(UserError, match="not a data frame of numbers"):
        read_frame(tmp_path / "bad.pkl")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", pickle.dumps(pd.DataFrame({"a": ["x"]}))])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "bad.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pkl: not a data frame of numbers"):
        read_frame(tmp_path / "bad.pkl")


def test_nothing_is_left_where_subjects_heard_other_words(tmp_path):
    frames = write_frames(tmp_path / "frames")
    write_frames(frames, ["", "a", "new", "house"], ("UTS03",), ("pluto",))
    with pytest.raises(UserError, match=r"UTS03/train/pluto\.pkl: its words differ"):
        convert_components(frames, tmp_path / "components")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames"]
