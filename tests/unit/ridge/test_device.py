"""The device of a model, and what is said of a GPU that cannot be used."""

import os

import pytest
import torch

from voxscale.errors import UserError
from voxscale.models import loading
from voxscale.report.warnings import log_notes

VARIABLES = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE")


@pytest.fixture(autouse=True)
def another_process(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loading._tell_unseen_gpu.cache_clear()
    yield
    loading._tell_unseen_gpu.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"), [("SLURM_JOB_GPUS", "0"), ("SLURM_STEP_GPUS", "0,1"), ("SLURM_GPUS_ON_NODE", "2")]
)
def test_a_gpu_that_torch_does_not_see_is_reported_once_and_comes_into_the_report(
    name, value, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv(name, value)
    for _ in range(2):
        assert loading.resolve_device("auto") == torch.device("cpu")
    said = capsys.readouterr().err
    (tmp_path / "log").write_text(said)
    (note,) = log_notes([tmp_path / "log"])
    assert said == f"WARNING {note}\n"
    assert note.startswith("config key features.device: auto: SLURM gave a job on ")
    assert os.uname().nodename in note


def test_nothing_is_reported_without_a_gpu_of_slurm_or_where_the_cpu_is_named(monkeypatch, capsys):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    assert loading.resolve_device("auto").type == "cpu"
    loading._tell_unseen_gpu.cache_clear()
    monkeypatch.delenv("SLURM_JOB_GPUS")
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "0")
    assert loading.resolve_device("auto").type == "cpu"
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "1")
    assert loading.resolve_device("cpu").type == "cpu"
    loading._tell_unseen_gpu.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert loading.resolve_device("auto").type == "cuda"
    assert capsys.readouterr().err == ""


def test_a_device_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match=r"features\.device: nosuch cannot be used; use auto \(.*\)$"):
        loading.resolve_device("nosuch")
