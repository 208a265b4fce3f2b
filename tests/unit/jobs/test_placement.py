"""What jobs ask of a cluster, within the limits of its partitions."""

from dataclasses import replace

import pytest
from workflow.runs import tiny_config

from voxscale.cluster import partitions
from voxscale.cluster.partitions import Node
from voxscale.errors import UserError
from voxscale.jobs import Jobs, Placement, Request
from voxscale.study import load_study

NODES = {"": (Node(4, 8000, 0, 60),), "long": (Node(8, 8000, 0, 600),), "gpu": (Node(8, 32_000, 2, 600),)}


@pytest.fixture
def placed(monkeypatch):
    """Places a study's jobs, whose first fit takes what a test says."""
    monkeypatch.setattr(partitions, "read_partitions", lambda: NODES)
    monkeypatch.setattr("voxscale.jobs.placement.read_partitions", lambda: NODES)

    def place(on_slurm=True, cluster=None, partition="", **need):
        jobs = Jobs(load_study(tiny_config() | {"cluster": cluster or {}}, gpu=False))
        fit = next(job for job in jobs.all() if job.rule == "fit_encoding")
        fitted, of = replace(jobs.need(fit), **need), jobs.need
        jobs.need = lambda job: fitted if job == fit else of(job)
        return Placement(jobs, on_slurm, partition), fit

    return place


def test_fewer_cores_take_longer_and_retries_stay_within_the_partition(placed):
    placement, fit = placed(threads=16, seconds=600.0, memory_mb=3000.0)
    assert placement.need(fit).threads == placement.threads(fit) == 4
    assert placement.need(fit).seconds == 2400.0
    assert placement.minutes(fit) == 60  # of 125
    first, second, third = (placement.memory_mb(fit, attempt) for attempt in (1, 2, 3))
    assert 3300 <= first < second < third <= 8000
    assert placement.memory_mb(fit, 9) == 8000
    assert placed(threads=16, partition="long")[0].threads(fit) == 8  # of a profile
    assert placed(threads=16, partition="long", cluster={"cpu": {"max_cores": 2}})[0].threads(fit) == 2
    here, fit = placed(on_slurm=False, threads=16, seconds=600.0)
    assert (here.need(fit).threads, here.minutes(fit, 3)) == (16, 140)


def test_a_plan_names_what_no_node_can_run_and_what_takes_longer(placed):
    placement, fit = placed(cluster={"cpu": {"partition": "long"}}, memory_mb=20_000.0)
    (line,) = placement.notes([fit])
    unit = " ".join([fit.rule, *fit.wildcards.values()])
    assert line.startswith(f"config key cluster.cpu.partition: {unit} asks for 20,3")
    assert line.endswith(
        "no node has more than 8,000 of partition long; name another partition, or lower encoding.memory_gb"
    )
    placement, fit = placed(threads=16, seconds=3000.0)
    fewer, late = placement.notes([fit])
    assert "1 jobs get fewer cores" in fewer
    assert "1 jobs may take longer than the partition allows" in late
    (line,) = placement.refusals([Request(fit, "gpu", 1000, 3, 1, 5), Request(fit, "gpu", 900, 3, 1, 5)])
    assert line.startswith(
        f"resource slurm_partition of fit_encoding: {unit} asks for 3 GPU(s), and no node has more"
    )
    assert "(2 jobs of this rule ask for too much)" in line
    placement, fit = placed(cluster={"all": {"partition": "lonk"}})
    with pytest.raises(
        UserError, match=r"config key cluster.all.partition: .* no partition lonk; did you mean long"
    ):
        placement.need(fit)
