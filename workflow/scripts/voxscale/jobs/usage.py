"""Predicted memory and time of jobs, compared with Snakemake's benchmarks."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tabulate import tabulate

from voxscale.errors import UserError
from voxscale.io import atomic
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.text import table
from voxscale.study import load_study

# A job's memory is polled; of the shortest ones the peak is missed.
SHORTEST_S = 3.0
BARE_MB = 40.0  # less than any script holds once it has begun


class Usage(NamedTuple):
    """One job: predicted and measured memory (MB, of the job's own processes) and time (s)."""

    rule: str
    name: str
    predicted_mb: float
    measured_mb: float
    predicted_s: float
    measured_s: float

    @property
    def sampled(self) -> bool:
        """Whether it ran long enough for its memory to be known, and was looked at after its script began."""
        return self.measured_s >= SHORTEST_S and self.measured_mb >= BARE_MB

    @property
    def ratio(self) -> float:
        """Predicted over measured memory; it should be between 1 and 3."""
        return self.predicted_mb / self.measured_mb if self.measured_mb else float("inf")


def read_benchmark(path: Path) -> dict[str, Any]:
    """The latest line of a benchmark.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return json.loads(path.read_text().splitlines()[-1])
    except (OSError, IndexError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not readable as a benchmark ({error}); delete it") from None


def usages(jobs: Jobs, base: str | Path = "") -> list[Usage]:
    """Every job that has a benchmark, in the `results/` of a folder."""
    found = []
    for job in jobs.all():
        if not (benchmark := Path(base, job.benchmark)).exists():
            continue
        measured, need = read_benchmark(benchmark), jobs.need(job)
        rss = measured.get("max_rss")
        seconds = float(measured["s"])
        if isinstance(rss, (int, float)):
            name = " ".join(job.wildcards.values()) or "all"
            found.append(Usage(job.rule, name, need.memory_mb, float(rss), need.seconds, seconds))
    return found


HEADER = (
    "rule",
    "jobs",
    "predicted MB, largest",
    "measured MB, largest",
    "predicted / measured: least, median, most",
    "between 1 and 3",
    "predicted s, median",
    "measured s, median",
)
STYLE = (
    "body{font:15px sans-serif;margin:2em} td,th{padding:.2em .8em;text-align:right} "
    "th{border-bottom:1px solid;vertical-align:bottom} td:first-child,th:first-child{text-align:left}"
)


def _summarise(found: Sequence[Usage]) -> list[tuple[str, ...]]:
    """One row per rule, of the jobs that ran long enough for their memory to be known."""
    rows = []
    for rule in dict.fromkeys(one.rule for one in found if one.sampled):
        of_rule = [one for one in found if one.rule == rule and one.sampled]
        ratios = [one.ratio for one in of_rule]
        inside = sum(1 <= ratio <= 3 for ratio in ratios)
        rows.append(
            (
                rule,
                str(len(of_rule)),
                f"{max(one.predicted_mb for one in of_rule):.0f}",
                f"{max(one.measured_mb for one in of_rule):.0f}",
                f"{min(ratios):.2f}, {median(ratios):.2f}, {max(ratios):.2f}",
                f"{inside} of {len(ratios)}",
                f"{median(one.predicted_s for one in of_rule):.0f}",
                f"{median(one.measured_s for one in of_rule):.0f}",
            )
        )
    return rows


def _footing(found: Sequence[Usage]) -> str:
    sampled = [one for one in found if one.sampled]
    inside = sum(1 <= one.ratio <= 3 for one in sampled)
    return (
        f"{inside} of {len(sampled)} jobs between 1 and 3. Memory is that of a job's own processes; a "
        f"cluster is asked for Snakemake's too. {len(found) - len(sampled)} jobs are left out, most of them "
        f"under {SHORTEST_S:g} s: their peak falls between two samples."
    )


def describe_usage(found: Sequence[Usage]) -> str:
    """The table of predicted and measured memory and time, one line per rule."""
    return "\n".join([*table(HEADER, _summarise(found)), "", _footing(found)])


def write_comparison(output: str | Path, config: Mapping[str, Any], base: str | Path = "") -> None:
    """Write the table of predicted and measured memory and time as a page.

    Args:
        config: the study's config, as Snakemake read it.
        base: the folder of its relative paths and of `results/`.
    """
    found = usages(Jobs(load_study(config, base)), base)
    text = (
        f"<!doctype html><meta charset='utf-8'><title>Resources</title><style>{STYLE}</style>"
        f"<h1>Predicted and measured resources</h1>{tabulate(_summarise(found), HEADER, 'html')}"
        f"<p>{html.escape(_footing(found), quote=False)}</p>"
    )
    with atomic(output) as temporary:
        temporary.write_text(text)
