"""Which process holds a working directory."""

import json
import os
import socket
import subprocess
import sys
import time
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


def killed_run(folder):
    program = f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; "
    program += f"from voxscale.cluster import locks; locks.leave_record(Path({str(folder)!r})); "
    program += "import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_lock_of_a_dead_process_is_removed_and_that_of_a_living_one_kept(tmp_path):
    records, held = lock(tmp_path)
    locks.leave_record(tmp_path)
    assert not locks.free_dead_lock(tmp_path)
    assert locks.is_running(tmp_path)
    killed_run(tmp_path)  # refused, since this one lives
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


def state(**about):
    here = {"host": socket.gethostname(), "pid": os.getpid(), "started": locks._start_ticks(os.getpid())}
    return [locks._state(here | locks._world() | about, silent) for silent in (0, locks.SILENT_S)]


def test_what_cannot_be_seen_is_not_gone(monkeypatch):
    assert state() == ["alive", "alive"]
    assert state(started="1") == ["gone", "gone"]
    assert state(host="elsewhere") == ["alive", "unknown"]
    assert state(processes="pid:[1]") == ["alive", "unknown"]  # a container with this host's name
    monkeypatch.setattr(locks, "_MACHINE", locks._world()["processes"])
    assert state(boot="before") == ["alive", "gone"]  # of this machine, before it was started again
    # Another user's process where /proc shows one's own alone.
    monkeypatch.setattr(locks, "_start_ticks", lambda pid: None)
    assert state(started="1") == ["alive", "unknown"]

    def refused(pid, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert state(started="1") == ["alive", "unknown"]


def test_whose_the_lock_is_and_what_to_type(tmp_path, capsys):
    records, held = lock(tmp_path)
    record = records / "login2-7.json"
    record.write_text(json.dumps({"host": "login2", "pid": 7, "started": "1", "user": "alice"}))
    locks.free_dead_lock(tmp_path)
    assert "In this folder works the run of alice on login2 (process 7, last sign" in capsys.readouterr().err
    os.utime(record, (1e9, 1e9))
    assert not locks.free_dead_lock(tmp_path)
    assert f"rm {record}, then snakemake --unlock" in capsys.readouterr().err
    record.write_text("{")
    locks.free_dead_lock(tmp_path)
    assert f"a run whose record, {record}, cannot be read" in capsys.readouterr().err
    assert held.exists()
    # Nothing is locked, so that nobody's record counts.
    (held / "0.output.lock").unlink()
    os.utime(record, (1e9, 1e9))
    assert not locks.free_dead_lock(tmp_path)
    assert not record.exists()


def test_a_record_shows_signs_of_life_and_goes_with_its_run(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    locks.leave_record(tmp_path, run="voxscale_x")
    (holder,) = locks.holders(tmp_path)
    assert (holder.state, holder.about["run"]) == ("alive", "voxscale_x")
    os.utime(holder.record, (1e9, 1e9))
    time.sleep(0.1)
    assert holder.record.stat().st_mtime > 1e9
