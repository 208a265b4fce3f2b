"""Which run holds a working directory, and removing the lock of one that was killed.

Snakemake's lock does not say whose it is. So each run keeps a record of itself, and renews its time while it
lives: a process of another machine, container or user may be alive although it cannot be seen.
"""

import atexit
import contextlib
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from voxscale.cluster.queue import this_user
from voxscale.errors import UserError
from voxscale.io import read_json, require_writable, write_json
from voxscale.progress import notify

SNAKEMAKE = Path(".snakemake")  # Snakemake's own folder in a working directory
BEAT_S = 30.0  # between two signs of life
SILENT_S = 300.0  # without one, after which a run is not known to live: a file server may be slow
_RECORDS, _LOCKS = "voxscale-runs", "locks"
_BEGAN = time.time()
_beating: set[Path] = set()
_MACHINE = "pid:[4026531836]"  # what Linux calls the processes of a whole machine, not of a container


class Holder(NamedTuple):
    """A run that holds a working directory, or held it.

    Attributes:
        state: `alive`, `gone`, or `unknown` where neither can be seen.
        silent_s: s since its last sign of life, by the clock of the file system.
        about: its record: host, user, pid, began (s since the epoch), run (its jobs' name in SLURM's queue).
    """

    state: str
    silent_s: float
    about: dict[str, Any]
    record: Path

    def __str__(self) -> str:
        about, sign = self.about, f"last sign of life {self.silent_s:.0f} s ago"
        if not about:
            return f"a run whose record, {self.record}, cannot be read ({sign})"
        return (
            f"the run of {about.get('user', '?')} on {about.get('host')} (process {about.get('pid')}, {sign})"
        )


def leave_record(folder: Path = SNAKEMAKE, run: str | None = None) -> None:
    """Write the record of this process, and renew its time from now on.

    Args:
        run: the name that its jobs have in SLURM's queue.

    Raises:
        UserError: the folder cannot be written to.
    """
    require_writable(folder / _RECORDS)
    pid, host = os.getpid(), socket.gethostname()
    record = (folder / _RECORDS / f"{host}-{pid}.json").absolute()
    about = {"host": host, "pid": pid, "started": _start_ticks(pid), "user": this_user(), **_world()}
    write_json(record, about | {"began": _BEGAN, "run": run})
    record.chmod(0o644)  # whatever the user's umask: others must see whose it is
    if record not in _beating:
        _beating.add(record)
        threading.Thread(target=_beat, args=(record,), daemon=True).start()
        atexit.register(record.unlink, missing_ok=True)


def _beat(record: Path) -> None:
    """Renew the time of a record until it is removed."""
    while True:
        time.sleep(BEAT_S)
        try:
            os.utime(record)
        except FileNotFoundError:
            return
        except OSError:  # a file server that does not answer
            continue


def _world() -> dict[str, str]:
    """Which processes are seen from here: those of one boot of a machine, and of one container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"boot": boot, "processes": str(Path("/proc/self/ns/pid").readlink())}
    except OSError:
        return {}


def holders(folder: Path = SNAKEMAKE) -> list[Holder]:
    """All runs that have a record in a directory."""
    return list(_read_holders(folder))


def _read_holders(folder: Path) -> Iterator[Holder]:
    records = sorted((folder / _RECORDS).glob("*.json"))
    now = _now(folder / _RECORDS) if records else 0.0
    for record in records:
        try:
            silent = max(0.0, now - record.stat().st_mtime)
            about = read_json(record)
        except (UserError, OSError):
            if not record.exists():  # it has just ended
                continue
            silent, about = max(0.0, now - record.lstat().st_mtime), {}
        yield Holder(_state(about, silent), silent, about, record)


def _now(folder: Path) -> float:
    """The time by the clock of a folder's file system, s; this machine's if nothing can be written there."""
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=folder) as file:
        return Path(file.name).stat().st_mtime
    return time.time()


def _state(about: dict[str, Any], silent_s: float) -> str:
    """Whether a run is alive, as far as this process can know."""
    here = _world()
    there = {key: about.get(key, value) for key, value in here.items()}
    if about.get("host") != socket.gethostname() or there != here:
        if silent_s < SILENT_S:
            return "alive"
        same = (
            about.get("host") == socket.gethostname() and there["processes"] == here["processes"] == _MACHINE
        )
        return "gone" if same else "unknown"  # this machine has been started again since
    pid = int(about["pid"])
    try:
        os.kill(pid, 0)  # answers also for a process that /proc hides
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        pass
    ticks = _start_ticks(pid)
    if ticks is not None:
        return "alive" if ticks == about.get("started") else "gone"
    # Another user's, hidden: it may be another process that got the same number.
    return "alive" if silent_s < SILENT_S else "unknown"


def _start_ticks(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks; None if it is hidden (or there is no /proc)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def is_running(folder: Path = SNAKEMAKE) -> bool:
    """Whether a run holds the directory, or may hold it."""
    found = holders(folder)
    return _locked(folder) and (not found or any(holder.state != "gone" for holder in found))


def _locked(folder: Path) -> bool:
    return any((folder / _LOCKS).glob("*.lock"))


def free_dead_lock(folder: Path = SNAKEMAKE) -> bool:
    """Remove a lock if every process that may hold it can be seen from here and is gone.

    Of a living one it says whose it is, and Snakemake, if it wants the same files, that they are locked. If
    one may be alive, it says what to do.

    Returns:
        whether a lock was removed.
    """
    found, locks, locked = holders(folder), folder / _LOCKS, _locked(folder)
    for holder in found if locked else ():
        if holder.state == "alive" and holder.about.get("pid") != os.getpid():
            notify(f"In this folder works {holder}; what it makes is locked until it ends.")
        elif holder.state == "unknown":
            notify(
                f"This folder is locked by {holder}; whether it lives cannot be seen from here: look there, "
                f"or ask its user. If it has ended: rm {holder.record}, then snakemake --unlock with the "
                "options of this run."
            )
    if locked and (not found or any(holder.state != "gone" for holder in found)):
        return False
    if locked:
        shutil.rmtree(locks, ignore_errors=True)
    for holder in found if not _locked(folder) else ():  # they hold nothing
        if holder.state != "alive":
            with contextlib.suppress(OSError):  # another user's, in a folder that only he may write to
                holder.record.unlink()
    if not locked:
        return False
    if _locked(folder):
        notify(
            f"The previous run was killed, but this user may not remove its lock; its own may: rm -r {locks}"
        )
        return False
    notify("The previous run was killed; its lock is removed.")
    return True
