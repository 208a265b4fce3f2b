"""The record of a rule: what it makes, which jobs it has, their parameters and their cost, each stated once.

Rule files, plan, status, prune and usage follow from the records in `voxscale.jobs.rules`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voxscale.encoding import CELL
from voxscale.jobs.resources import Need, plain
from voxscale.jobs.sizes import Sizes
from voxscale.study import Study

BATCH = "model={model}/subject={subject}/layers={layers}_n_train={n_trains}"
Wildcards = Mapping[str, str]
Parameter = Callable[[Study, Wildcards], Any]


def once(study: Study) -> list[Wildcards]:
    """The jobs of a rule without wildcards: one."""
    return [{}]


def once_if(condition: Callable[[Study], Any]) -> Callable[[Study], list[Wildcards]]:
    """One job without wildcards where a condition holds, else none."""
    return lambda study: [{}] if condition(study) else []


def light(sizes: Sizes, **wildcards: str) -> Need:
    """The cost of a job that reads, computes and writes next to nothing."""
    return plain()


@dataclass(frozen=True)
class Rule:
    """The facts of a rule, except its inputs and its script.

    Args:
        name: of the rule, its script and the folders of its logs and benchmarks.
        outputs: pattern of each output's path, by a name that no other kind of file has; a job is done when
            the first exists. A table (`.parquet`) is named after its schema.
        need: what a job takes, from the study's sizes and the job's wildcards; `light` for next to nothing.
        jobs: wildcards of each job that a study has; none where the study lacks what the rule is for.
        params: parameters that follow from the study; `voxscale status` compares them with a finished job's.
        means: further settings of a job, which affect its outputs by rounding at most and are not compared.
        numbers: stages of `voxscale.versions` whose numbers are in the outputs; those of inputs taken as
            `ancient` belong to `params`.
        schemas: schema of a table that is named otherwise; None for a table that is not one of the study's.
        threads: cores of a job, where there is a cheaper way to know than `need`.
        gpu: whether jobs of a study may ask for a GPU.
        local: whether jobs are downloads, which run on the machine of Snakemake unless the config's `cluster`
            has a place for them.
        on_request: whether outputs are made only if they are requested by name.
        ancient: whether the rules that read the outputs do not run again when these are made again.
        unmoved_by: rules whose outputs this one takes as `ancient`, though others do not.
        sources: the user's own files that a job reads: the outputs keep their digests, which are compared.
        deleted_after: rule whose job for the same subject is the last to read the outputs; then they go.
        folder: where outputs, logs and benchmarks are.
    """

    name: str
    outputs: Mapping[str, str]
    need: Callable[..., Need]
    jobs: Callable[[Study], Iterable[Wildcards]] = once
    params: Mapping[str, Parameter] = field(default_factory=dict)
    means: Parameter | None = None
    numbers: tuple[str, ...] = ()
    schemas: Mapping[str, str | None] = field(default_factory=dict)
    threads: Callable[..., int] | None = None
    gpu: Callable[[Study], bool] = lambda study: False
    local: bool = False
    on_request: bool = False
    ancient: bool = False
    unmoved_by: tuple[str, ...] = ()
    sources: Callable[[Study, Wildcards], list[str]] | None = None
    deleted_after: str | None = None
    folder: str = "results"

    @property
    def output(self) -> str:
        """Pattern of the output whose existence means that a job is done."""
        return next(iter(self.outputs.values()))

    @property
    def log(self) -> str:
        """Pattern of the log that the rule's script writes."""
        return f"{self.folder}/logs/{self.name}/{self._job}.log"

    @property
    def benchmark(self) -> str:
        """Pattern of the file with the time and memory a job took, written when its script has ended well."""
        return f"{self.folder}/benchmarks/{self.name}/{self._job}.jsonl"

    @property
    def _job(self) -> str:
        wildcards = re.findall(r"{\w+}", self.output)
        named = {"{layer}": CELL, "{layers}": BATCH}
        return next((named[name] for name in wildcards if name in named), "/".join(wildcards) or "all")

    def kind(self, study: Study) -> str:
        """Which of a cluster's jobs a study's are, as in the config's `cluster`: cpu, gpu or download."""
        return "download" if self.local else "gpu" if self.gpu(study) else "cpu"

    def moved(self, folder: str) -> "Rule":
        """The same rule with its files in another folder."""
        outputs = {name: path.replace(self.folder, folder, 1) for name, path in self.outputs.items()}
        return replace(self, outputs=outputs, folder=folder)

    def exists(self, study: Study) -> bool:
        """Whether a study has any job of this rule."""
        return any(True for _ in self.jobs(study))

    def tables(self) -> dict[str, str]:
        """Schema of each table among the outputs."""
        names = [name for name, path in self.outputs.items() if path.endswith(".parquet")]
        schemas = {name: self.schemas.get(name, name) for name in names}
        return {name: schema for name, schema in schemas.items() if schema is not None}
