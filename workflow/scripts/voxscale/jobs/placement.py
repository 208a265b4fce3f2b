"""Where a study's jobs run in a cluster, and what they ask for there: never more than any node has."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from voxscale.cluster import Limits, limits_of
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.resources import Need
from voxscale.jobs.rules import STAGES, record_of

_FITS = {rule.name for rule in STAGES["fits"]}


class Request(NamedTuple):
    """What one job asks of SLURM: memory in MB, GPUs, cores, and a partition, empty for the default one."""

    job: Job
    memory_mb: int
    gpus: int
    cores: int
    partition: str


class Placement:
    """The needs of a study's jobs, within the limits of the partitions that they run in.

    Args:
        jobs: of the study.
        on_slurm: whether they run in a cluster of SLURM, which is then asked for its partitions.
    """

    def __init__(self, jobs: Jobs, on_slurm: bool = False) -> None:
        self._jobs, self._on_slurm = jobs, on_slurm
        self._cluster = jobs.study.cluster
        self._limits: dict[str, Limits] = {}

    def kind(self, rule: str) -> str:
        """Which of the cluster's jobs a rule's are: cpu, gpu or download."""
        return record_of(rule).kind(self._jobs.study)

    def limits(self, kind: str) -> Limits:
        """Limits of a kind of jobs.

        Raises:
            UserError: there is no such partition.
        """
        if not self._on_slurm:
            return Limits()
        if kind not in self._limits:
            place = self._cluster.place(kind, "partition")
            self._limits[kind] = limits_of(self._cluster.given(kind), place)
        return self._limits[kind]

    def need(self, job: Job) -> Need:
        """What a job takes with the cores that it can have.

        Raises:
            UserError: it cannot be done with the config's memory, or its partition does not exist.
        """
        need = self._jobs.need(job)
        if not self._on_slurm:
            return need
        limits = self.limits(self.kind(job.rule))
        cores = limits.cores(need.threads, need.requested_mb(), need.gpus)
        return replace(need, threads=cores, seconds=need.seconds * need.threads / cores)

    def threads(self, job: Job) -> int:
        """Cores of a job."""
        return self.need(job).threads if self._on_slurm else self._jobs.threads(job)

    def memory_mb(self, job: Job, attempt: int = 1) -> int:
        """Memory to ask for: more at each retry, up to what the largest node has."""
        need, limits = self.need(job), self.limits(self.kind(job.rule))
        return limits.memory_mb(need.requested_mb(), need.requested_mb(attempt), need.gpus)

    def minutes(self, job: Job, attempt: int = 1) -> int:
        """Time to ask for: more at each retry, up to the limit of the partition."""
        return self.limits(self.kind(job.rule)).minutes(self.need(job).requested_minutes(attempt))

    def request(self, job: Job) -> Request:
        """What a job asks for at its first attempt."""
        need, partition = self.need(job), self._cluster.given(self.kind(job.rule)).get("partition", "")
        return Request(job, self.memory_mb(job), need.gpus, need.threads, str(partition))

    def refusals(self, requests: Iterable[Request]) -> list[str]:
        """Why jobs cannot run in their partitions: one line for each rule and reason, with the key to change.

        Raises:
            UserError: there is no such partition.
        """
        found: dict[tuple[str, str], str] = {}
        known: dict[tuple[str, str], Limits] = {}
        for job, memory_mb, gpus, cores, partition in requests:
            kind = self.kind(job.rule)
            place = self._cluster.place(kind, "partition")
            given = self._cluster.given(kind)
            if partition != str(given.get("partition", "")):  # of a command line or a profile
                place, given = f"resource slurm_partition of {job.rule}", given | {"partition": partition}
            if (kind, partition) not in known:
                known[kind, partition] = limits_of(given, place)
            if why := known[kind, partition].lacks(memory_mb, gpus, cores):
                where = f"of partition {partition}" if partition else "of the default partition"
                lower = ", or lower encoding.memory_gb" if job.rule in _FITS and "MB" in why else ""
                unit = " ".join([job.rule, *job.wildcards.values()])
                text = f"{place}: {unit} {why} {where}; name another partition{lower}"
                found.setdefault((job.rule, partition), text)
        return list(found.values())
