"""What a study will take, before anything runs: `voxscale plan --configfile config/paper.yaml`.

Jobs of each rule, hours of cores and GPUs, the largest job's memory, disk space by stage, and what is done.
Everything follows from the config and the existing files, without Snakemake's graph of the jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxscale.jobs.cells import FittedCells
from voxscale.jobs.fit_device import fit_device
from voxscale.jobs.fits import both_ways, fitting
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.notes import Settings
from voxscale.jobs.placement import Placement
from voxscale.jobs.resources import Need
from voxscale.jobs.rules import STAGES
from voxscale.jobs.text import duration, hours, size, table
from voxscale.study import Study

OUTDATED = "are out of date: settings or inputs have changed; running the workflow makes them again"
JOB_OVERHEAD_S = 5.0  # s: what a SLURM job costs before and after its work (docs/reliability.md)
HEADER = (
    *("rule", "jobs", "done", "outdated"),
    *("core-hours", "GPU-hours", "largest memory", "longest job", "disk"),
)
LARGE_SHARE = 0.1  # of a job's time, from which its overhead is large


def _overhead_share(seconds: float) -> float:
    """SLURM's and Snakemake's share of the time of a job that works for `seconds`."""
    return JOB_OVERHEAD_S / (JOB_OVERHEAD_S + seconds)


@dataclass
class Row:
    """The sums of one rule's jobs; hours and memory (the largest request) are those of jobs not yet done.

    Attributes:
        outdated: jobs whose output exists but is out of date; they are not done.
        seconds: time of all jobs not yet done, one after the other.
        short: jobs not yet done of which SLURM's overhead takes a large share.
        cells, cells_done: that the jobs fit, and how many of them are fitted.
        on_cpus: core-hours of all fits not yet done, if CPUs make them.
        on_cards: GPU-hours of the same fits, if GPUs make them.
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
    cells: int = 0
    cells_done: int = 0
    on_cpus: float = 0.0
    on_cards: float = 0.0

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
            self.short += _overhead_share(need.seconds) > LARGE_SHARE

    def add_cells(self, done: int, left: int) -> None:
        self.cells += done + left
        self.cells_done += done


def plan_rows(jobs: Jobs, placed: Placement | None = None) -> list[Row]:
    """One row per rule, in the order of the work.

    Args:
        placed: what the jobs can have in a cluster.
    """
    rows: dict[str, Row] = {}
    placed = placed or Placement(jobs)
    settings, fits = Settings(jobs), FittedCells(jobs.study)
    for job in jobs.all():
        there = fits.is_done(job)
        outdated = settings.differ(job, there)
        done, need = there and not outdated, jobs.need(job)
        row = rows.setdefault(job.rule, Row(job.rule))
        if job.rule == "fit_encoding":
            parts = fits.split(job, done)
            row.add_cells(len(parts["done"]), len(parts["left"]))
            if left := parts["left"]:
                if parts["done"]:
                    need = replace(fitting(jobs.sizes, left), disk_mb=need.disk_mb)
                cpu, card = both_ways(jobs.sizes, left)
                row.on_cpus, row.on_cards = row.on_cpus + cpu, row.on_cards + card
        row.add(placed.within(job.rule, need), done, outdated)
    return list(rows.values())


def _total(rows: Sequence[Row]) -> Row:
    added = ("jobs", "done", "outdated", "core_hours", "gpu_hours", "disk_mb")
    sums = {name: sum(getattr(row, name) for row in rows) for name in added}
    most = {name: max(getattr(row, name) for row in rows) for name in ("memory_mb", "longest_s")}
    return Row("all", **sums, **most)


def _line(row: Row) -> tuple[object, ...]:
    return (
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


def _both_ways(fits: Row, study: Study, cores: int, gpus: int) -> list[str]:
    """What all fits take on CPUs and on GPUs, and where they run."""
    on_cpus, on_gpus = (duration(3600 * most) for most in (fits.on_cpus / cores, fits.on_cards / gpus))
    device = fit_device(study)
    return [
        f"All fits take {hours(fits.on_cpus)} core-hours on CPUs, {on_cpus} with {cores:,} cores (--cores), "
        f"or {hours(fits.on_cards)} GPU-hours on GPUs as fast as an H200, {on_gpus} with {gpus:,} (--gpus).",
        f"They are priced on {'GPUs' if device.on_gpu else 'CPUs'} ({device.why}).",
    ]


def describe_plan(rows: Sequence[Row], study: Study, cores: int = 100, gpus: int = 8) -> str:
    """The table of rules, the disk space of each stage, how long a fit takes, where networks and fits run.

    Args:
        cores, gpus: that the fits may have at once.
    """
    total = _total(rows)
    lines = table(HEADER, (_line(row) for row in (*rows, total)))
    lines.insert(-1, "")
    disk = {row.rule: row.disk_mb for row in rows}
    stages = {stage: sum(disk.get(rule.name, 0.0) for rule in rules) for stage, rules in STAGES.items()}
    lines += [
        "",
        "Disk: " + ", ".join(f"{stage} {size(megabytes)}" for stage, megabytes in stages.items()),
        "Hours, memory and longest job are those of jobs still to do; memory is what is asked of a cluster.",
    ]
    if total.outdated:
        lines += [f"{total.outdated} outputs {OUTDATED}."]
    fits = next((row for row in rows if row.rule == "fit_encoding"), None)
    if fits and fits.jobs > fits.done:
        left = fits.jobs - fits.done
        mean = fits.seconds / left
        lines += [
            f"Cells to fit: {fits.cells:,}, in jobs: {fits.jobs:,}; cells done: {fits.cells_done:,}.",
            f"A job of fits takes {duration(mean)} on average; "
            f"SLURM's own time is {_overhead_share(mean):.1%} of it, "
            f"and more than {LARGE_SHARE:.0%} in {fits.short} of {left} jobs (encoding.job_minutes).",
            *_both_ways(fits, study, cores, gpus),
        ]
    if study.config["features"]["device"] == "auto" and study.models_of("language", "speech"):
        where = "GPUs" if study.gpu else "CPUs, since this machine has no GPU"
        lines += [f"Features are priced on {where} (features.device: auto)."]
    return "\n".join(lines)
