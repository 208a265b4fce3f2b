"""A sweep that ran undisturbed, and copies of it without its fits to disturb."""

import os

import pytest
from slurm.drive import Sweep, answers


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The study, run from nothing on the cluster and left in peace."""
    if not answers():
        pytest.skip(
            "no SLURM cluster answers; tests/slurm/start-cluster.sh starts one on a Debian machine, as root"
        )
    # A folder that is kept spares the first run while tests are written.
    folder = os.environ.get("VOXSCALE_WHOLE") or tmp_path_factory.mktemp("whole") / "study"
    sweep = Sweep(folder)
    sweep.finish()
    return sweep


@pytest.fixture
def sweep(whole, tmp_path):
    """The same study with its fits still to do."""
    copy = whole.copy_to(tmp_path / "study")
    yield copy
    copy.end()
