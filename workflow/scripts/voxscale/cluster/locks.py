"""Which process holds a working directory, and removing the lock of one that was killed.

Snakemake's lock does not say whose it is. So each run writes a record of its host, process id and start.
"""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.io import read_json, require_writable, write_json
from voxscale.progress import notify

SNAKEMAKE = Path(".snakemake")  # Snakemake's own folder in a working directory
_RECORDS, _LOCKS = "voxscale-runs", "locks"


def leave_record(folder: Path = SNAKEMAKE) -> None:
    """Write the record of this process.

    Raises:
        UserError: the folder cannot be written to.
    """
    require_writable(folder / _RECORDS)
    pid, host = os.getpid(), socket.gethostname()
    record = {"host": host, "pid": pid, "started": _start_ticks(pid)}
    write_json(folder / _RECORDS / f"{host}-{pid}.json", record)


def remove_records(folder: Path = SNAKEMAKE) -> None:
    """Remove the records of all runs."""
    shutil.rmtree(folder / _RECORDS, ignore_errors=True)


def is_running(folder: Path = SNAKEMAKE) -> bool:
    """Whether a run holds the directory: its process is alive, or on another machine and so unknown."""
    if not any((folder / _LOCKS).glob("*.lock")):
        return False
    holders = _read_holders(folder)
    return not holders or any(map(_may_be_alive, holders))


def free_dead_lock(folder: Path = SNAKEMAKE) -> bool:
    """Remove a lock if every process that may hold it was one of this machine and is gone.

    Returns:
        whether a lock was removed. Snakemake itself reports the lock of a living process or another machine.
    """
    holders = _read_holders(folder)
    if holders is None or any(map(_may_be_alive, holders)):
        return False
    remove_records(folder)
    locks = folder / _LOCKS
    if not holders or not locks.is_dir() or not any(locks.iterdir()):
        return False
    shutil.rmtree(locks, ignore_errors=True)
    notify("The previous run was killed; its lock is removed.")
    return True


def _read_holders(folder: Path) -> list[dict[str, Any]] | None:
    """Records of the runs that may hold a directory; None if one cannot be read."""
    try:
        return [read_json(path) for path in (folder / _RECORDS).glob("*.json")]
    except UserError:
        return None


def _may_be_alive(holder: dict[str, Any]) -> bool:
    """Whether the process of a record is alive, as far as this machine can know."""
    return holder.get("host") != socket.gethostname() or _start_ticks(int(holder["pid"])) == holder.get(
        "started"
    )


def _start_ticks(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks; None if there is none (or no /proc)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None
