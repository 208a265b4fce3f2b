"""Faults on a real cluster: nodes, daemons, memory, time, disk, damaged files."""

import os
import subprocess
import time

import pytest
from slurm.drive import CELL, PATIENCE_S, script, until

pytestmark = pytest.mark.slurm
AWAY_S = int(os.environ.get("VOXSCALE_AWAY_S", "10"))  # 60 for docs/reliability.md
ONE = CELL.format("UTS01", 2)
UNIT = "rule_fit_encoding_wildcards_tiny-opt-1_2_UTS01_2"


def states(sweep, unit=UNIT):
    return [job.state.split()[0] for job in sweep.settled_jobs() if job.comment == unit]


def digest(sweep, whole, path=ONE):
    return sweep.digests()[path] == whole.digests()[path]


@pytest.fixture
def cluster():
    """A cluster that is whole again afterwards."""
    yield
    script("start-cluster.sh")


def test_a_node_crashes_and_daemons_are_away(whole, sweep, cluster):
    run = sweep.start()
    *_, node = sweep.running_fit()
    script("crash-node.sh", node)
    script("stop-cluster.sh", "slurmdbd")
    time.sleep(AWAY_S)
    script("start-cluster.sh", "slurmdbd")
    script("stop-cluster.sh", "slurmctld")
    time.sleep(AWAY_S)
    script("start-cluster.sh", "slurmctld")
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert sweep.digests() == whole.digests()
    assert "NODE_FAIL" in {job.state.split()[0] for job in sweep.settled_jobs()}


def test_a_job_writes_on_after_its_node_was_given_up(whole, sweep, cluster):
    run = sweep.start(target=ONE)
    *_, node = sweep.running_fit()
    script("crash-node.sh", node, "--slurmd-only")
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert digest(sweep, whole)


def test_a_job_over_its_memory_gets_more(whole, sweep):
    sweep.finish("--retries", "0", "--set-resources", "fit_encoding:mem_mb=200", target=ONE, status=1)
    assert "1 failed" in sweep.status()
    assert "exceeded memory limit" in sweep.status()
    sweep.finish("--set-resources", "fit_encoding:mem_mb=200 * attempt ** 3", target=ONE)
    assert states(sweep) == ["FAILED", "FAILED", "COMPLETED"]
    assert digest(sweep, whole)


def test_a_job_over_its_time_gets_more(whole, sweep):
    run = sweep.start(target=ONE)
    jobid, *_ = sweep.running_fit()
    subprocess.run(["scontrol", "update", f"jobid={jobid}", "EndTime=now+1"], check=True)
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert states(sweep) == ["TIMEOUT", "COMPLETED"]
    asked = [line for line in sweep.text.splitlines() if "runtime=" in line]
    minutes = [int(line.split("runtime=")[1].split(",")[0]) for line in asked]
    assert minutes[1] == 2 * minutes[0]
    assert digest(sweep, whole)


@pytest.fixture
def small_disk(sweep):
    """A disk of 32 kB for the scores."""
    folder = sweep.folder / "results/scores"
    folder.mkdir()
    size = "size=32k,nr_inodes=100"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]).returncode:
        pytest.skip("a full disk needs the right to mount one")
    (folder / "filler").write_bytes(bytes(28 * 1024))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_the_run_completes_with_space(whole, sweep, small_disk):
    said = sweep.finish("--retries", "0", target=ONE, status=1)
    assert "no space left on the disk; free some and run again" in said
    assert "no space left" in sweep.status()
    (small_disk / "filler").unlink()
    sweep.finish(target=ONE)
    assert digest(sweep, whole)


@pytest.mark.parametrize("name", ["results/responses/UTS01.h5", "results/features/stories"])
def test_a_damaged_file_is_named_and_never_read_as_data(whole, sweep, name):
    path = sweep.folder / name
    if path.is_dir():
        path = next(path.glob("tiny-opt-1/nightbaker-*.h5"))
    about = path.stat()
    os.truncate(path, about.st_size * 2 // 3)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    said = sweep.finish("--retries", "0", target=ONE, status=1)
    assert f"ERROR fit_encoding: {path.relative_to(sweep.folder)}" in said
    path.unlink()
    if "stories" in name:
        (sweep.folder / "results/features/tiny-opt-1.h5").unlink()
    sweep.finish(target=ONE)
    assert digest(sweep, whole)
    until("nothing left in the queue", lambda: sweep.queue() == [])
