import pytest
import slurm_queue


@pytest.fixture
def cluster(monkeypatch):
    """A SLURM whose queue passes through given states, in which no time passes."""
    return slurm_queue.Cluster(monkeypatch)
