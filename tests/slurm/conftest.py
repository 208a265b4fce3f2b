"""A sweep that ran undisturbed, and copies of it without fits, to be disturbed."""

import os

import pytest
from slurm.drive import Sweep, answers


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The study, run from the start on the cluster without disturbance."""
    if not answers():
        pytest.skip(
            "no SLURM cluster answers; tests/slurm/start-cluster.sh starts one on a Debian machine, as root"
        )
    # While writing tests, a folder that is kept saves the first run.
    folder = os.environ.get("VOXSCALE_WHOLE") or tmp_path_factory.mktemp("whole") / "study"
    sweep = Sweep(folder)
    sweep.finish()
    return sweep


@pytest.fixture
def sweep(whole, tmp_path):
    """The same study, without its fits."""
    copy = whole.copy_to(tmp_path / "study")
    yield copy
    copy.end()
