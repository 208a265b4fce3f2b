"""Faults on a real cluster: nodes, daemons, preemption, memory, time, disk, damaged files."""

import os
import re
import subprocess
import time

import h5py
import pytest
import yaml
from slurm.drive import CELL, FIT, FITS, PATIENCE_S, UNIT, script, until

pytestmark = pytest.mark.slurm
AWAY_S = int(os.environ.get("VOXSCALE_AWAY_S", "5"))  # 60 for docs/reliability.md
ONE, ONE_FIT, ONE_UNIT = (
    CELL.format("tiny-opt-1", 2),
    FIT.format("tiny-opt-1", "1-2"),
    UNIT.format("tiny-opt-1", "1-2"),
)


@pytest.fixture
def cluster():
    """A cluster that is repaired afterwards."""
    yield
    script("start-cluster.sh")


def test_nodes_fail_and_daemons_are_away(whole, sweep, cluster):
    # Both daemons are down for longer than all attempts of the executor.
    run = sweep.start("--slurm-status-attempts", "3")
    nodes = sweep.hold(FITS)
    crashed, silent, *_ = sorted(set(nodes.values()))
    lost = [jobid for jobid, node in nodes.items() if node == crashed]
    living = [jobid for jobid, node in nodes.items() if node == silent]
    sweep.let_go(*(jobid for jobid in nodes if jobid not in lost + living))
    script("crash-node.sh", crashed)
    script("crash-node.sh", silent, "--slurmd-only")
    script("stop-cluster.sh", "slurmdbd")
    # SLURM gives up the jobs of the silent node; after the retries have ended, the first jobs write on.
    retried = set(sweep.hold(len(lost + living) + 1)) - set(nodes)
    time.sleep(AWAY_S)
    script("start-cluster.sh", "slurmdbd")
    sweep.left(*lost, *living)
    sweep.let_go(*living)
    script("stop-cluster.sh", "slurmctld", "slurmdbd")
    time.sleep(AWAY_S)
    script("start-cluster.sh", "slurmdbd", "slurmctld")
    sweep.let_go(*retried)
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert sweep.digests() == whole.digests()
    ended = {job.jobid: job.state for job in sweep.settled_jobs()}
    assert {ended[jobid] for jobid in lost + living} == {"NODE_FAIL"}
    assert set(sweep.fits().values()) == {1}


def test_jobs_cancelled_out_of_time_preempted_and_out_of_memory_get_what_they_need(whole, sweep):
    (sweep.folder / "results/ceiling/UTS01.parquet").unlink()
    run = sweep.start("--retries", "1", "--set-resources", "estimate_ceiling:mem_mb=100")
    nodes = sweep.hold(FITS)
    units = {job[0]: job[2] for job in sweep.queue()}
    by_node = {node: [jobid for jobid in nodes if nodes[jobid] == node] for node in nodes.values()}
    (late, spared), preempted, (cancelled,) = sorted(by_node.values(), key=len, reverse=True)
    subprocess.run(["scancel", cancelled], check=True)
    end_now(late)
    urgent = ["sbatch", "--partition", "urgent", "--exclusive", "--nodelist", nodes[preempted[0]]]
    subprocess.run([*urgent, "--output", "/dev/null", "--wrap", "sleep 1"], check=True)
    (later,) = set(sweep.hold(FITS + 1, unit=units[late])) - set(nodes)
    end_now(later)
    sweep.left(later, cancelled, *preempted)
    sweep.let_go()
    # Two jobs have used all their retries. The run and the status report the reason.
    assert run.wait(PATIENCE_S) == 1, sweep.text[-3000:]
    status = sweep.status()
    for text in ("DUE TO TIME LIMIT", "exceeded memory limit"):
        assert text in sweep.text
        assert text in status
    for jobid in (late, later):  # before the job ends well, after which they are cleared away
        assert "DUE TO TIME LIMIT" in sweep.slurm_log(jobid)
    sweep.finish("--set-resources", "estimate_ceiling:mem_mb=100 * attempt ** 3")
    assert sweep.digests() == whole.digests()
    assert sweep.states(units[cancelled]) == ["CANCELLED", "COMPLETED"]
    first, second, third = sweep.of_unit(units[late])
    assert {first.state, second.state} <= {"TIMEOUT", "FAILED"}
    assert third.state == "COMPLETED"
    for jobid in preempted:
        assert sweep.states(units[jobid]) == ["PREEMPTED", "COMPLETED"]
    assert sweep.states("rule_estimate_ceiling_wildcards_UTS01") == [*["FAILED"] * 3, "COMPLETED"]
    (once,), (_, again) = sweep.of_unit(units[spared]), sweep.of_unit(units[cancelled])
    assert again.minutes == 2 * once.minutes
    assert again.memory > 1.3 * once.memory


def end_now(jobid):
    """Set a job's time limit to the present."""
    subprocess.run(["scontrol", "update", f"jobid={jobid}", "EndTime=now+1"], check=True)


@pytest.fixture
def short_account():
    """A limit of three minutes, which sinfo does not know."""
    limit = ["sacctmgr", "--immediate", "modify", "user", "root", "set"]
    subprocess.run([*limit, "MaxWall=3"], check=True, capture_output=True)
    yield
    subprocess.run([*limit, "MaxWall=-1"], check=True, capture_output=True)


def test_a_job_that_can_never_start_is_cancelled_and_reported_and_one_line_keeps_requests_within_the_limit(
    whole, sweep, short_account
):
    said = sweep.finish("--retries", "0", targets=[ONE_FIT], status=1)
    assert "SLURM can never start job" in said
    for text in (said, sweep.status()):
        assert "AssocMaxWallDurationPerJobLimit" in text
    sweep.finish("--resources", "runtime=3", targets=[ONE_FIT])
    never, done = sweep.of_unit(ONE_UNIT)
    assert never.state.startswith("CANCELLED")
    assert (done.state, done.minutes) == ("COMPLETED", 3)
    assert sweep.digests()[ONE] == whole.digests()[ONE]


@pytest.fixture
def small_disk(sweep):
    """A disk of 32 kB for the scores, almost full."""
    folder = sweep.folder / "results/scores"
    folder.mkdir()
    size = "size=32k,nr_inodes=100"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]).returncode:
        pytest.skip("a full disk needs the right to mount one")
    (folder / "filler").write_bytes(bytes(28 * 1024))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_damaged_files_are_named_and_never_read_and_a_full_disk_is_reported(whole, sweep, small_disk):
    features = sweep.folder / "results/features"
    (cut,) = features.glob("stories/tiny-opt-1/thelighthousekeeper-*.h5")
    (changed,) = features.glob("stories/tiny-whisper-1/thelighthousekeeper-*.h5")
    damage(cut, lambda file, size: file.truncate(size * 2 // 3))
    with h5py.File(changed) as file:
        values = file["2"].id.get_chunk_info(0)  # of the layer that the cell reads
    middle = values.byte_offset + values.size // 2
    damage(changed, lambda file, size: (file.seek(middle), file.write(b"noise ")))
    cells = ONE, CELL.format("tiny-whisper-1", 4)
    fits = ONE_FIT, FIT.format("tiny-whisper-1", "1-4")
    said = sweep.finish("--retries", "0", targets=fits, status=1)
    remade = []
    for path in (cut, changed):
        message = next(
            line for line in said.splitlines() if "ERROR fit_encoding" in line and path.name in line
        )
        # Do exactly what the line says.
        index, target = re.search(
            r"delete it and (\S+), run snakemake (\S+) with .*run again", message
        ).groups()
        remade.append(target)
        path.unlink()
        (sweep.folder / index).unlink()
    sweep.finish(targets=remade)
    said = sweep.finish("--retries", "0", targets=fits, status=1)
    assert "no space left on the disk, or no inodes; free some and run again" in said
    assert "no space left" in sweep.status()
    assert not any((sweep.folder / cell).exists() for cell in cells)
    (small_disk / "filler").unlink()
    sweep.finish(targets=fits)
    assert {cell: sweep.digests()[cell] for cell in cells} == {cell: whole.digests()[cell] for cell in cells}
    assert sweep.states(ONE_UNIT) == ["FAILED", "FAILED", "COMPLETED"]


def damage(path, how):
    """Change a file but not its modification time."""
    about = path.stat()
    with path.open("r+b") as file:
        how(file, about.st_size)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_a_batch_goes_on_at_its_next_cell_after_a_crash_of_its_node_and_a_cancel(whole, sweep, cluster):
    study = sweep.folder / "study.yaml"
    config = yaml.safe_load(study.read_text())
    config["encoding"]["job_minutes"] = 10
    study.write_text(yaml.safe_dump(config))
    scores = sweep.folder / "results/scores/model=tiny-opt-1/subject=UTS01"
    unit = "rule_fit_encoding_wildcards_tiny-opt-1_UTS01_0-2_1-4"
    written = {}

    def stopped_after(cells):
        """The job, stopped when it has finished this many cells or more."""

        def enough():
            return len(list(scores.glob("layer=*"))) >= cells and list(sweep.scripts("fit_encoding"))

        until(f"{cells} cells", enough, step=0.01)
        nodes = sweep.hold(1, unit=unit)
        (job,) = set(nodes) - written.keys()
        written[job] = {path.name: path.stat().st_mtime_ns for path in scores.glob("layer=*")}
        return job, nodes[job]

    run = sweep.start(
        "--retries", "2", targets=["results/fits/model=tiny-opt-1/subject=UTS01/layers=0-2_n_train=1-4.json"]
    )
    job, node = stopped_after(1)
    script("crash-node.sh", node)
    sweep.left(job)
    sweep.let_go()
    job, _ = stopped_after(len(written[job]) + 1)
    subprocess.run(["scancel", "--signal=KILL", job], check=True)
    sweep.left(job)
    sweep.let_go()
    assert run.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert [job.state.split()[0] for job in sweep.of_unit(unit)][-1] == "COMPLETED"
    last = {path.name: path.stat().st_mtime_ns for path in scores.glob("layer=*")}
    first, second = written.values()
    assert 0 < len(first) < len(second) <= len(last) == 4
    assert first.items() <= second.items() <= last.items()
    cells = {name: digest for name, digest in whole.digests().items() if "model=tiny-opt-1/" in name}
    assert sweep.digests() == cells
