"""Whether the user's own files are still those that results were made from, by their content.

Each output keeps the digests of the user's files that its job read (`Rule.sources`). A time proves nothing: a
copy may be as old as the file that it replaces, and a touched file has the same content.
"""

import contextlib
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.io import read_json, read_whole, sha256_file, write_json
from voxscale.jobs.jobs import Job, Jobs
from voxscale.progress import bar

KEPT = Path(".snakemake/voxscale-digests.json")


def own_origin(path: Path) -> dict[str, str | list[str]]:
    """What a file says of its origin; {} if it says nothing or cannot be read."""
    try:
        return read_whole(path, content=False) if path.exists() else {}
    except UserError:
        return {}


def _touched_ns(path: Path) -> int:
    """When a file, or the link to it, was last written, replaced or renamed, whatever time it shows."""
    return max(path.stat().st_ctime_ns, path.lstat().st_ctime_ns)


class Sources:
    """The user's own files of a study, compared with those that its results were made from.

    Only files that were written or replaced since then are read, each once: their digests are kept.

    Args:
        jobs: of the study whose working directory is the current one.
        base: prefix of the outputs, where another workflow uses this one as a module.
    """

    def __init__(self, jobs: Jobs, base: str | Path = "") -> None:
        self._jobs, self._base = jobs, Path(base)
        self._kept: dict[str, Any] = {}  # path -> its state and its digest
        with contextlib.suppress(UserError, TypeError, ValueError):
            self._kept = dict(read_json(KEPT)) if KEPT.exists() else {}

    def changed(self, job: Job) -> dict[Path, list[Path]]:
        """Outputs of a job that were made from other content than its sources have now, and the sources."""
        found = {}
        files = [path for path in map(Path, self._jobs.sources(job)) if path.exists()]
        for output in (self._base / path for path in job.outputs) if files else ():
            if not output.exists():
                continue
            written = output.stat().st_mtime_ns
            touched = [i for i, path in enumerate(files) if _touched_ns(path) >= written]
            made_from = own_origin(output).get("sources") if touched else None
            if made_from is None:  # that of an older version: its time must do
                other = [files[i] for i in touched if files[i].stat().st_mtime_ns > written]
            elif len(made_from) != len(files):  # its settings differ as well
                other = []
            else:
                other = [
                    files[i] for i in bar(touched, "changed files") if self._digest(files[i]) != made_from[i]
                ]
            if other:
                found[output] = other
        return found

    def _digest(self, path: Path) -> str:
        about = path.stat()
        state = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
        kept = self._kept.get(str(path))
        if not isinstance(kept, dict) or kept.get("state") != state:
            kept = self._kept[str(path)] = {"state": state, "digest": sha256_file(path)}
            with contextlib.suppress(OSError):  # a folder that may only be read
                write_json(KEPT, self._kept)
        return kept.get("digest", "")


def changed_sources(jobs: Jobs, base: str | Path = "") -> dict[Path, list[Path]]:
    """Outputs of a study made from other content than the user's own files have now, and these files."""
    sources = Sources(jobs, base)
    return {output: files for job in jobs.all() for output, files in sources.changed(job).items()}
