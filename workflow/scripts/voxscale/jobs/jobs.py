"""The jobs of a study and the output of each, without Snakemake's graph of them.

A graph of ten thousand jobs takes from seconds to minutes; from the grid the same jobs are listed at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from voxscale.jobs.record import Rule
from voxscale.jobs.resources import Need
from voxscale.jobs.rules import GATHERED, RESULTS, RULES, STAGES, record_of
from voxscale.jobs.sizes import Sizes
from voxscale.provenance import hash_config
from voxscale.study import Study
from voxscale.versions import numbers


class Job(NamedTuple):
    """One job: its rule and its wildcards."""

    rule: str
    wildcards: Mapping[str, str]

    @property
    def record(self) -> Rule:
        """The record of its rule."""
        return record_of(self.rule)

    @property
    def output(self) -> Path:
        """The output whose existence means that the job is done."""
        return Path(self.record.output.format(**self.wildcards))

    @property
    def outputs(self) -> list[Path]:
        """All its outputs."""
        return [Path(path.format(**self.wildcards)) for path in self.record.outputs.values()]

    @property
    def log(self) -> Path:
        """Where the rule's script writes its log."""
        return Path(self.record.log.format(**self.wildcards))

    @property
    def benchmark(self) -> Path:
        """Where Snakemake writes down what a job took, when the job's script has come to its end."""
        return Path(self.record.benchmark.format(**self.wildcards))

    @property
    def comment(self) -> str:
        """What the executor for SLURM calls it in the queue."""
        values = "_".join(self.wildcards.values())
        return f"rule_{self.rule}" + (f"_wildcards_{values}" if values else "")

    def is_done(self) -> bool:
        """Whether its output exists, or was deleted after the last job that reads it."""
        if self.output.exists():
            return True
        last = self.record.deleted_after
        return bool(last) and Job(last, {"subject": self.wildcards["subject"]}).output.exists()


@dataclass
class Jobs:
    """All jobs of a study.

    Args:
        study: complete; relative paths are looked up in the working directory.
    """

    study: Study
    sizes: Sizes = field(init=False)
    _needs: dict[tuple[Any, ...], Need] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = Sizes(self.study)

    def all(self) -> Iterator[Job]:
        """Every job of the study, in about the order of their work, without those made only on request."""
        for rule in RULES.values():
            if not rule.on_request:
                yield from (Job(rule.name, wildcards) for wildcards in rule.jobs(self.study))

    def results(self) -> Iterator[str]:
        """What a whole run makes and keeps: all files of fits, analyses, figures and the report.

        Features and responses are made where one of these needs them, so that they may be deleted.
        """
        rules = [RULES[rule.name] for stage in RESULTS for rule in STAGES[stage]]
        for rule in rules:
            if self.study.missing and rule.name not in GATHERED:
                continue
            if not rule.on_request and not rule.deleted_after:
                for wildcards in rule.jobs(self.study):
                    yield from (path.format(**wildcards) for path in rule.outputs.values())

    def need(self, job: Job) -> Need:
        """What one job takes.

        Raises:
            UserError: it cannot be done with the config's memory.
        """
        key = (job.rule, *sorted(job.wildcards.items()))
        if key not in self._needs:
            self._needs[key] = job.record.need(self.sizes, **job.wildcards)
        return self._needs[key]

    def threads(self, job: Job) -> int:
        """Cores that a job is worth."""
        count = job.record.threads
        return count(self.sizes, **job.wildcards) if count else self.need(job).threads

    def parameters(self, job: Job) -> dict[str, Any]:
        """The parameters of a job that follow from the study and the code, by name."""
        found = {name: value(self.study, job.wildcards) for name, value in job.record.params.items()}
        return found | ({"numbers": numbers(*job.record.numbers)} if job.record.numbers else {})

    def sources(self, job: Job) -> list[str]:
        """The user's own files that a job reads."""
        return job.record.sources(self.study, job.wildcards) if job.record.sources else []

    def digest(self, job: Job) -> str:
        """Digest of a job's parameters and their names."""
        return hash_config(self.parameters(job))
