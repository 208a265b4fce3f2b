"""What partitions offer, from the words of sinfo."""

import pytest

from voxscale.cluster import limits_of, partitions
from voxscale.errors import UserError

SINFO = """\
cpu*|48|190000|1-00:00:00|UNLIMITED|(null)
cpu*|128|1030000|1-00:00:00|UNLIMITED|(null)
short|48+|190000+|3:00|UNLIMITED|(null)
gpu|64|500000|infinite|32|gpu:a100:4(S:0-1),lscratch:3000
old|16|64000|12:30:00|UNLIMITED|gpu:2
silent|8|1|infinite|UNLIMITED|(null)
"""


@pytest.fixture(autouse=True)
def sinfo(monkeypatch):
    monkeypatch.setattr(partitions, "answer_of", lambda *command: SINFO.splitlines())
    partitions.read_partitions.cache_clear()
    yield
    partitions.read_partitions.cache_clear()


def test_partitions_are_read():
    found = partitions.read_partitions()
    assert found[""] == found["cpu"] == ((48, 190e3, 0, 1440), (128, 1030e3, 0, 1440))
    assert found["short"] == ((48, 190e3, 0, 3),)
    assert found["gpu"] == ((32, 500e3, 4, float("inf")),)
    assert found["silent"] == ((8, float("inf"), 0, float("inf")),)
    assert found["old"] == ((16, 64e3, 2, 750),)


@pytest.mark.parametrize(
    ("gres", "gpus"), [("gpu:a100:2", 2), ("gpu:a100", 0), ("shard:8,gpu:1", 1), ("", 0)]
)
def test_gpus_in_what_a_job_asks_for(gres, gpus):
    assert partitions.gpus_in(gres) == gpus


def test_no_job_asks_for_more_than_a_node_has():
    limits = limits_of({})
    assert limits.cores(16, 1e3) == 16
    assert limits.cores(256, 1e3) == 128
    assert limits.cores(256, 1e3) == limits.cores(256, 500e3) == 128
    assert limits.cores(256, 2e6) == 128  # no node has this memory, which is what must be said
    assert limits.memory_mb(800_000, 1_600_000) == 1_030_000
    assert limits.minutes(5000) == 1440
    assert limits_of({"partition": "short,cpu"}).minutes(5000) == 1440
    assert limits_of({"partition": "short", "max_minutes": 2}).minutes(60) == 2
    small = limits_of({"max_cores": 4, "max_memory_gb": 64})
    assert (small.cores(16, 1e3), small.memory_mb(1000, 100_000)) == (4, 64_000)


def test_a_job_that_no_node_can_run_is_named_before_it_is_submitted():
    assert limits_of({}).lacks(1_030_000, 0, 128) is None
    assert limits_of({}).lacks(2e6) == "asks for 2,000,000 MB, and no node has more than 1,030,000"
    assert limits_of({}).lacks(1000, 1) == "asks for 1 GPU(s), and no node has more than 0"
    assert (
        limits_of({"partition": "short"}).lacks(1000, 0, 1, 6)
        == "asks for 6 minutes, and no node has more than 3"
    )
    both = limits_of({"partition": "gpu,cpu"})
    assert both.lacks(900e3, 4) == "asks for 1 core(s), 900,000 MB, 4 GPU(s), and no node has all of these"
    with pytest.raises(UserError, match=r"place: the cluster has no partition gpuu; did you mean gpu"):
        limits_of({"partition": "gpuu"}, "place")


def test_where_slurm_does_not_answer_there_are_only_the_config_s_limits(monkeypatch):
    monkeypatch.setattr(partitions, "answer_of", lambda *command: None)
    assert limits_of({"partition": "any"}).cores(512, 1e9) == 512
    assert limits_of({"partition": "any", "max_cores": 8}).cores(512, 1e9) == 8
