"""Faults on a real cluster: nodes, daemons, preemption, memory, time, disk, damaged files."""

import os
import subprocess
import time

import pytest
from slurm.drive import CELL, FITS, PATIENCE_S, UNIT, script, until

pytestmark = pytest.mark.slurm
AWAY_S = int(os.environ.get("VOXSCALE_AWAY_S", "10"))  # 60 for docs/reliability.md
ONE = CELL.format("tiny-opt-1", 2)


@pytest.fixture
def cluster():
    """A cluster that is whole again afterwards."""
    yield
    script("start-cluster.sh")


def test_nodes_fail_and_daemons_are_away(whole, sweep, cluster):
    run = sweep.start()
    nodes = sweep.hold(FITS)
    crashed, silent, *_ = sorted(set(nodes.values()))
    lost = [jobid for jobid, node in nodes.items() if node == crashed]
    living = [jobid for jobid, node in nodes.items() if node == silent]
    sweep.let_go(*(jobid for jobid in nodes if jobid not in lost + living))
    script("crash-node.sh", crashed)
    script("crash-node.sh", silent, "--slurmd-only")
    script("stop-cluster.sh", "slurmdbd")
    time.sleep(AWAY_S)
    script("start-cluster.sh", "slurmdbd")
    # SLURM has given up the jobs of the silent node, and others do their work: then they write on.
    until("the retries", lambda: any(jobid not in nodes for _, jobid in sweep.scripts("fit_encoding")))
    assert {job[0] for job in sweep.queue() if job[1] == "RUNNING"}.isdisjoint(lost + living)
    sweep.let_go(*living)
    script("stop-cluster.sh", "slurmctld")
    time.sleep(AWAY_S)
    script("start-cluster.sh", "slurmctld")
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert sweep.digests() == whole.digests()
    ended = {job.jobid: job.state for job in sweep.settled_jobs()}
    assert {ended[jobid] for jobid in lost + living} == {"NODE_FAIL"}
    assert set(sweep.fits().values()) == {1}


def test_jobs_cancelled_out_of_time_preempted_and_out_of_memory_get_what_they_need(whole, sweep):
    run = sweep.start("--set-resources", "gather_scores:mem_mb=100 * attempt ** 3")
    nodes = sweep.hold(FITS)
    units = {job[0]: job[2] for job in sweep.queue()}
    by_node = {node: [jobid for jobid in nodes if nodes[jobid] == node] for node in nodes.values()}
    (late, spared), preempted, (cancelled,) = sorted(by_node.values(), key=len, reverse=True)
    subprocess.run(["scancel", cancelled], check=True)
    subprocess.run(["scontrol", "update", f"jobid={late}", "EndTime=now+1"], check=True)
    urgent = ["sbatch", "--partition", "urgent", "--exclusive", "--nodelist", nodes[preempted[0]]]
    subprocess.run([*urgent, "--output", "/dev/null", "--wrap", "sleep 1"], check=True)
    until(
        "all of them ended",
        lambda: {job[0] for job in sweep.queue()}.isdisjoint({late, cancelled, *preempted}),
    )
    sweep.let_go()
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert sweep.digests() == whole.digests()
    assert sweep.states(units[cancelled]) == ["CANCELLED", "COMPLETED"]
    assert sweep.states(units[late]) in (["TIMEOUT", "COMPLETED"], ["FAILED", "COMPLETED"])
    assert "DUE TO TIME LIMIT" in sweep.slurm_log(late)
    for jobid in preempted:
        assert sweep.states(units[jobid]) == ["PREEMPTED", "COMPLETED"]
    small, _ = sweep.of_unit("rule_gather_scores_wildcards_all")
    assert "exceeded memory limit" in sweep.slurm_log(small.jobid)
    assert sweep.states(small.comment) == ["FAILED", "COMPLETED"]
    (once,), (_, again) = sweep.of_unit(units[spared]), sweep.of_unit(units[late])
    assert again.minutes == 2 * once.minutes
    assert again.memory > 1.3 * once.memory


@pytest.fixture
def small_disk(sweep):
    """A disk of 32 kB for the scores, nearly full."""
    folder = sweep.folder / "results/scores"
    folder.mkdir()
    size = "size=32k,nr_inodes=100"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]).returncode:
        pytest.skip("a full disk needs the right to mount one")
    (folder / "filler").write_bytes(bytes(28 * 1024))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_the_run_completes_with_space(whole, sweep, small_disk):
    said = sweep.finish("--retries", "0", targets=[ONE], status=1)
    assert "no space left on the disk; free some and run again" in said
    assert "no space left" in sweep.status()
    (small_disk / "filler").unlink()
    sweep.finish(targets=[ONE])
    assert sweep.digests()[ONE] == whole.digests()[ONE]


def test_damaged_files_are_named_and_never_read_as_data(whole, sweep):
    features = sweep.folder / "results/features"
    (cut,) = features.glob("stories/tiny-opt-1/thelighthousekeeper-*.h5")
    (changed,) = features.glob("stories/tiny-whisper-1/thelighthousekeeper-*.h5")
    damage(cut, lambda file, size: file.truncate(size * 2 // 3))
    damage(changed, lambda file, size: (file.seek(size // 2), file.write(b"noise " * 50)))
    cells = ONE, CELL.format("tiny-whisper-1", 3)
    said = sweep.finish("--retries", "0", targets=cells, status=1)
    for path in (cut, changed):
        told = next(line for line in said.splitlines() if "ERROR fit_encoding" in line and path.name in line)
        assert "delete it and" in told
        path.unlink()
    assert not any((sweep.folder / cell).exists() for cell in cells)
    for name in ("tiny-opt-1", "tiny-whisper-1"):
        (features / f"{name}.h5").unlink()
    sweep.finish(targets=cells)
    assert {cell: sweep.digests()[cell] for cell in cells} == {cell: whole.digests()[cell] for cell in cells}
    assert sweep.states(UNIT.format("tiny-opt-1", 2)) == ["FAILED", "COMPLETED"]


def damage(path, how):
    """Change a file, and not its time."""
    about = path.stat()
    with path.open("r+b") as file:
        how(file, about.st_size)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
