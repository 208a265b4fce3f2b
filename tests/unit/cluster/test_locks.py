"""Which process holds a working directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from voxscale.cluster import before_graph, locks
from voxscale.errors import UserError
from voxscale.io.files import require_writable


def test_a_directory_that_cannot_be_written_to_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Path("results")
    require_writable(results)
    assert not list(tmp_path.iterdir()), "the check leaves nothing"
    results.touch()
    with pytest.raises(UserError, match=rf"^{tmp_path}/results: no file .*\(Not a directory\); it must"):
        before_graph()
    results.unlink()
    results.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=rf"^{tmp_path}/results: no file .*\(No such file"):
        before_graph()
    results.unlink()
    Path(".snakemake").touch()
    with pytest.raises(UserError, match=rf"^{tmp_path}/\.snakemake: no file .*\(Not a directory\)"):
        before_graph()


def lock(folder):
    locks, records = folder / "locks", folder / "voxscale-runs"
    locks.mkdir(exist_ok=True)
    records.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("results/report.html")
    return records, locks


def another_run(folder):
    program = f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; "
    program += f"from voxscale.cluster import locks; locks.leave_record(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_lock_of_a_dead_process_is_removed_and_that_of_a_living_one_kept(tmp_path):
    records, held = lock(tmp_path)
    locks.leave_record(tmp_path)
    assert not locks.free_dead_lock(tmp_path)
    assert locks.is_running(tmp_path)
    another_run(tmp_path)  # refused, since this one lives
    assert not locks.free_dead_lock(tmp_path)
    assert held.exists()
    next(records.glob(f"*-{os.getpid()}.json")).unlink()
    assert not locks.is_running(tmp_path)
    assert locks.free_dead_lock(tmp_path)
    assert not held.exists()
    assert not locks.free_dead_lock(tmp_path)


def test_a_lock_without_a_record_is_left_alone(tmp_path):
    _, held = lock(tmp_path)
    assert not locks.free_dead_lock(tmp_path)
    assert held.exists()


def test_a_process_number_used_again_is_not_the_process(tmp_path):
    records, _ = lock(tmp_path)
    locks.leave_record(tmp_path)
    (record,) = records.iterdir()
    holder = json.loads(record.read_text())
    assert holder["pid"] == os.getpid()
    record.write_text(json.dumps(holder | {"started": "1"}))
    assert locks.free_dead_lock(tmp_path)


def test_the_lock_of_another_machine_is_left_alone(tmp_path):
    records, held = lock(tmp_path)
    record = records / "elsewhere-1.json"
    record.write_text(json.dumps({"host": "elsewhere", "pid": 999_999_999, "started": "1"}))
    assert not locks.free_dead_lock(tmp_path)
    assert locks.is_running(tmp_path)
    record.write_text("{")
    assert not locks.free_dead_lock(tmp_path)
    assert held.exists()
