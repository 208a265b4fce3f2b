"""What Snakemake noted of how a file was made, read without Snakemake: were the settings those of now?

Only settings of the config are looked at. Code and inputs that have changed make a job run again, too;
that is Snakemake's to find (`--dry-run`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from voxscale.jobs import STAGES, Job
from voxscale.parameters import of_job
from voxscale.study import Study

SNAKEMAKE = Path(".snakemake")
NAME_MAX = 255  # of a file's name, on every file system that Linux commonly has


def file_of(path: str | Path, kind: str, snakemake: Path = SNAKEMAKE) -> Path:
    """Where Snakemake keeps its note on an output.

    Args:
        kind: `metadata`, or `incomplete` for a mark that it is being written.
    """
    # ASSUME: Snakemake 9.27 names it by the path's base64, cut into folders where that is too long.
    name = base64.urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[i : i + NAME_MAX - 1] for i in range(0, len(name), NAME_MAX - 1)]
    return snakemake.joinpath(kind, *(f"@{part}" for part in parts[:-1]), parts[-1])


def marked(snakemake: Path = SNAKEMAKE) -> Iterator[str]:
    """Outputs that Snakemake has marked as being written."""
    folder = snakemake / "incomplete"
    for path in folder.rglob("*"):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            try:
                yield base64.urlsafe_b64decode(name).decode()
            except ValueError:
                continue


def noted(output: str | Path, snakemake: Path = SNAKEMAKE) -> set[str] | None:
    """Parameters that an output was made with, as Python writes them; None where there is no note of it."""
    try:
        note = json.loads(file_of(output, "metadata", snakemake).read_text())
    except (OSError, ValueError):  # none, or one that is just being written
        return None
    return set(note.get("params") or ()) if isinstance(note, Mapping) else None


# Rules whose other outputs make a rule's output another one; all that follows is made of tables.
FITS = {"fit_encoding", "fit_banded"}
SCORES = {*FITS, "estimate_ceiling"}
TABLES = {*SCORES, "gather_scores"}
MADE_OF = {
    "estimate_ceiling": set(),
    "predict_encoding": FITS,
    "stack_models": FITS,
    "gather_scores": SCORES,
    "draw_ceiling_drift": {"estimate_ceiling"},
}


def made_of(rule: str) -> set[str]:
    """Rules that, when an output of theirs is another, make a rule's output another one."""
    later = rule in STAGES["analysis"] or rule.startswith("draw_") or rule == "write_report"
    return MADE_OF.get(rule, TABLES if later else set())


class Settings:
    """Whether the outputs that are there were made with the settings that the config has now.

    Args:
        study: its working directory the current one.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._differing: set[str] = set()  # rules of which an output differs

    def differ(self, job: Job) -> bool:
        """Whether a job's output, which is there, was made with other settings, or of what was.

        To be asked of the jobs in the order of their work, since a table of other fits is another table.
        """
        found = self._others(job) or not made_of(job.rule).isdisjoint(self._differing)
        if found:
            self._differing.add(job.rule)
        return found

    def _others(self, job: Job) -> bool:
        """Whether a job's note names other parameters than now; without a note it counts as made so."""
        if (then := noted(job.output)) is None:
            return False
        now = of_job(self.study, job.rule, job.wildcards).values()
        # ASSUME: Snakemake 9.27 notes no parameter that is a path.
        return not then.issuperset(repr(value) for value in now if not isinstance(value, Path))
