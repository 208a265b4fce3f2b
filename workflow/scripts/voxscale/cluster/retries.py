"""How often a failed job is tried again: that depends on how it ended, which its log states."""

import re
import time
from pathlib import Path
from typing import Any

from voxscale.progress import notify

# One line, in which a script says what the user can do; what may pass by itself is no mistake.
_MISTAKE = re.compile(r"ERROR \w+: (?!.*(no space left|try again|cannot be reached))")
_MEMORY = re.compile(r"(?i)memory|std::bad_alloc")
UNKNOWN = 1  # retries after an error that nobody foresaw


def retries_after(log: str | Path, since: float) -> int | None:
    """How many retries a job deserves in all; None for as many as it may have.

    A user's mistake would be the same again. A job that memory, time or its node failed left no reason in its
    log, or a lack of memory: it is worth all retries, which get more.

    Args:
        log: of the rule.
        since: when the job began or earlier, s; what is older is of another job.
    """
    try:
        if Path(log).stat().st_mtime < since:
            return None
        lines = Path(log).read_text(errors="replace").splitlines()
    except OSError:
        return None
    last = next((line for line in reversed(lines) if line.strip()), "")
    if _MISTAKE.match(last):
        notify(f"Not tried again, since the outcome would be the same. {last}")
        return 0
    if "Traceback (most recent call last):" in lines and not _MEMORY.search(last):
        return UNKNOWN
    return None


def retry_with_reason() -> None:
    """Let Snakemake try a failed job again only where that may help.

    ASSUME: Snakemake 9.27 asks a failed job for `restart_times`, once for each failure.
    """
    from snakemake.jobs import Job

    allowed, looked = Job.restart_times.fget, {None: time.time()}

    def restart_times(self: Any) -> int:
        times, log = allowed(self), next(iter(self.log), None)
        if not times or log is None:
            return times
        since = looked.get(str(log), looked[None])
        looked[str(log)] = time.time()
        most = retries_after(log, since)
        return times if most is None else min(times, most)

    Job.restart_times = property(restart_times)
