"""What every rule's script runs in: its log, its threads, and one line for a user's mistake."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from voxscale.errors import UserError, no_space
from voxscale.progress import CLEAR
from voxscale.provenance import note_job


def put_first(folder: str) -> None:
    """Let scripts, which run in processes of their own, import from `folder` before any installed package."""
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([folder, *filter(None, others)]))


def all_settings(params: Any) -> dict[str, Any]:
    """Settings of a job with its means, which Snakemake does not compare."""
    return {**params.settings, **vars(params.means)}


class _Tee:
    """Write to the terminal and to the rule's log, so that a progress bar is seen and an error is kept.

    A line of text goes to the terminal as a whole, so that jobs side by side do not write into each other's,
    and first clears the terminal's last line, where a bar may be drawn. Bars, which begin with a carriage
    return, are not written where the terminal is a file, in which they would run together.
    """

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self._terminal, self._log, self._begun = terminal, log, ""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):  # a full disk must not hide what is said of it
            self._log.write(text)
        if text.startswith("\r"):
            if self._terminal.isatty():
                self._terminal.write(text.rstrip("\n"))
            return len(text)
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            self._terminal.write((CLEAR if self._terminal.isatty() else "") + lines + newline)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._log.flush()
        self._terminal.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


@contextlib.contextmanager
def script(job: Any) -> Iterator[dict[str, str]]:
    """Run a rule's script: copy stderr to its log, use its threads, end a user's mistake in one line.

    The files that it writes keep digests of the job's parameters and of the user's own files that it reads.

    Args:
        job: Snakemake's `snakemake`, of which `rule`, `log`, `threads`, `params.digest`, `params.missing`
            and `params.source_files` are used.

    Yields:
        the digest of each of the user's own files.

    The log also has the traceback of a `ValueError` that was put down to the user (`errors.naming`).

    Raises:
        SystemExit: with status 1 after a `UserError` or a full disk, its one line printed.
    """
    rule = job.rule
    with _log(Path(job.log[0])) as log, contextlib.redirect_stderr(_Tee(sys.stderr, log)):
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(job.threads)
        try:
            sources = job.params.source_files.paths if hasattr(job.params, "source_files") else ()
            missing = getattr(job.params, "missing", ())
            yield note_job(getattr(job.params, "digest", None), sources, missing)
        except UserError as error:
            if error.__cause__:
                traceback.print_exception(error.__cause__, file=log)
            print(f"ERROR {rule}: {error}", file=sys.stderr)
            sys.exit(1)
        except Exception as error:
            if full := no_space(error):
                print(
                    f"ERROR {rule}: {full}; free some and run again, finished files are kept", file=sys.stderr
                )
            else:  # ours: in the log too, where a cluster's user looks
                traceback.print_exc()
            sys.exit(1)


@contextlib.contextmanager
def _log(path: Path) -> Iterator[TextIO]:
    """A rule's log; where none can be written, since the disk is full, the terminal has to do."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("w", buffering=1)
    except OSError as error:
        if not no_space(error):
            raise
        log = io.StringIO()
    try:
        yield log
    finally:
        with contextlib.suppress(OSError):
            log.close()
