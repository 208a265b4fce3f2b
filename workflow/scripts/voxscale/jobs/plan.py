"""What a study will take, before anything runs: `voxscale plan --configfile config/paper.yaml`.

Jobs of each rule, hours of cores and GPUs, the largest job's memory, disk by stage, and what is already done.
Everything follows from the config and the files that are there; no graph of jobs is built.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.notes import Settings
from voxscale.jobs.resources import Need
from voxscale.jobs.rules import STAGES
from voxscale.study import load_study, merge, read_yaml

HOME = Path(__file__).parents[4]
OUTDATED = "are out of date: settings or inputs have changed; running the workflow makes them again"
JOB_OVERHEAD_S = 5.0  # s: what a SLURM job costs before and after its work (docs/reliability.md)
LARGE_SHARE = 0.1  # of a job's time, from which its overhead is large


def overhead_share(seconds: float) -> float:
    """SLURM's and Snakemake's share of the time of a job that works for so many seconds."""
    return JOB_OVERHEAD_S / (JOB_OVERHEAD_S + seconds)


@dataclass
class Row:
    """One rule's jobs, summed up; hours and memory (the largest request) are those of jobs not yet done.

    Attributes:
        outdated: jobs, not done, whose output is there but was made with other settings.
        short: jobs, not done, of which SLURM's overhead takes a large share.
    """

    rule: str
    jobs: int = 0
    done: int = 0
    outdated: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    memory_mb: int = 0
    longest_s: float = 0.0
    disk_mb: float = 0.0
    seconds: float = 0.0
    short: int = 0

    def add(self, need: Need, done: bool, outdated: bool = False) -> None:
        self.jobs += 1
        self.done += done
        self.outdated += outdated
        self.disk_mb += need.disk_mb
        if not done:
            hours = need.seconds / 3600
            self.core_hours += need.threads * hours
            self.gpu_hours += need.gpus * hours
            self.memory_mb = max(self.memory_mb, need.requested_mb())
            self.longest_s = max(self.longest_s, need.seconds)
            self.seconds += need.seconds
            self.short += overhead_share(need.seconds) > LARGE_SHARE


def load_jobs(configfiles: str | Path | Sequence[str | Path] | None, directory: str | Path = ".") -> Jobs:
    """Jobs of the study that a config file describes; without one, of the demo.

    Args:
        configfiles: one, or several of which each later one wins, key by key, as Snakemake has it.
        directory: Snakemake's working directory, with `results/`; it becomes this process's own.

    Raises:
        UserError: the config, the dataset or the directory is not what it should be.
    """
    if isinstance(configfiles, str | Path):
        configfiles = [configfiles]
    config: dict[str, Any] = {}
    for path in configfiles or [HOME / "config/demo.yaml"]:
        part = read_yaml(path)
        if not isinstance(part, dict):
            raise UserError(f"{path}: is not a study's config; see config/README.md")
        config = merge(config, part)
    enter(directory)
    return Jobs(load_study(config))


def enter(directory: str | Path) -> None:
    """Make a folder this process's own, as Snakemake's `--directory` does.

    Raises:
        UserError: there is none.
    """
    try:
        os.chdir(directory)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; make this folder first, or name another") from None


def survey(jobs: Jobs) -> list[Row]:
    """One row per rule, in the order of the work."""
    rows: dict[str, Row] = {}
    settings = Settings(jobs)
    for job in jobs.all():
        there = job.is_done()
        outdated = settings.differ(job, there)
        row = rows.setdefault(job.rule, Row(job.rule))
        row.add(jobs.need(job), there and not outdated, outdated)
    return list(rows.values())


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    cells = [[str(value) for value in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]


def hours(value: float) -> str:
    """Hours, with as many digits as they deserve."""
    return "-" if not value else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def size(megabytes: float) -> str:
    """A size in MB or GB."""
    return (
        "-" if megabytes < 0.5 else f"{megabytes:.0f} MB" if megabytes < 1e3 else f"{megabytes / 1e3:,.1f} GB"
    )


def duration(seconds: float) -> str:
    """A time in minutes or hours."""
    return "-" if not seconds else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def report(rows: Sequence[Row]) -> str:
    """The table of rules, the disk of each stage and what to know about the fits' size."""
    total = Row("all")
    for row in rows:
        for key in ("jobs", "done", "outdated", "core_hours", "gpu_hours", "disk_mb"):
            setattr(total, key, getattr(total, key) + getattr(row, key))
        total.memory_mb = max(total.memory_mb, row.memory_mb)
        total.longest_s = max(total.longest_s, row.longest_s)
    header = (
        "rule",
        "jobs",
        "done",
        "outdated",
        "core-hours",
        "GPU-hours",
        "largest memory",
        "longest job",
        "disk",
    )
    lines = table(
        header,
        (
            (
                row.rule,
                row.jobs,
                row.done,
                row.outdated or "-",
                hours(row.core_hours),
                hours(row.gpu_hours),
                size(row.memory_mb),
                duration(row.longest_s),
                size(row.disk_mb),
            )
            for row in (*rows, total)
        ),
    )
    lines.insert(-1, "")
    disk = {row.rule: row.disk_mb for row in rows}
    stages = {stage: sum(disk.get(rule.name, 0.0) for rule in rules) for stage, rules in STAGES.items()}
    lines += ["", "Disk: " + ", ".join(f"{stage} {size(disk)}" for stage, disk in stages.items())]
    lines += [
        "Hours, memory and longest job are those of jobs still to do; memory is what is asked of a cluster."
    ]
    if total.outdated:
        lines += [f"{total.outdated} outputs {OUTDATED}."]
    fits = next((row for row in rows if row.rule == "fit_encoding"), None)
    if fits and fits.jobs > fits.done:
        mean = fits.seconds / (fits.jobs - fits.done)
        lines += [
            f"A fit takes {duration(mean)} on average; SLURM's own time is {overhead_share(mean):.1%} of it, "
            f"and more than {LARGE_SHARE:.0%} in {fits.short} of {fits.jobs - fits.done} fits."
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan; 0, or 1 after one line about a mistake."""
    parser = argparse.ArgumentParser(prog="python -m voxscale.jobs.plan", description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", nargs="+", help="the study's config; default: the demo's")
    parser.add_argument("--directory", default=".", help="where results/ is or will be")
    options = parser.parse_args(arguments)
    try:
        print(report(survey(load_jobs(options.configfile, options.directory))))
    except UserError as error:
        print(f"ERROR plan: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
