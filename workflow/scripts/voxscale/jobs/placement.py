"""Where a study's jobs run in a cluster, and what they ask for there: never more than any node has."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from voxscale.cluster import Limits, limits_of, read_partitions
from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.resources import Need
from voxscale.jobs.rules import STAGES, record_of

_FITS = {rule.name for rule in STAGES["fits"]}


class Request(NamedTuple):
    """What one job asks of SLURM: a partition (empty for the default one), MB, GPUs, cores and minutes."""

    job: Job
    partition: str
    memory_mb: int
    gpus: int
    cores: int
    minutes: int


class Placement:
    """The needs of a study's jobs, within the limits of the partitions that they run in.

    Args:
        jobs: of the study.
        on_slurm: whether they run in a cluster of SLURM, which is then asked for its partitions.
        partition: where jobs run for which the config names none; empty for the cluster's default one.
    """

    def __init__(self, jobs: Jobs, on_slurm: bool = False, partition: str = "") -> None:
        self._jobs, self._on_slurm, self._partition = jobs, on_slurm, partition
        self._cluster = jobs.study.cluster
        self._limits: dict[str, Limits] = {}

    def kind(self, rule: str) -> str:
        """Which of the cluster's jobs a rule's are: cpu, gpu or download."""
        return record_of(rule).kind(self._jobs.study)

    def given(self, kind: str) -> dict[str, Any]:
        """The cluster's keys of a kind of job, with its partition."""
        return {"partition": self._partition} | self._cluster.given(kind)

    def limits(self, kind: str) -> Limits:
        """Limits of a kind of jobs.

        Raises:
            UserError: there is no such partition.
        """
        if not self._on_slurm:
            return Limits()
        if kind not in self._limits:
            place = self._cluster.place(kind, "partition")
            self._limits[kind] = limits_of(self.given(kind), place)
        return self._limits[kind]

    def need(self, job: Job) -> Need:
        """What a job takes with the cores that it can have.

        Raises:
            UserError: it cannot be done with the config's memory, or its partition does not exist.
        """
        return self.within(job.rule, self._jobs.need(job))

    def within(self, rule: str, need: Need) -> Need:
        """What a job of a rule takes with the cores that it can have: fewer cores take longer."""
        if not self._on_slurm:
            return need
        cores = self.limits(self.kind(rule)).cores(need.threads, need.requested_mb(), need.gpus)
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
        need, partition = self.need(job), str(self.given(self.kind(job.rule))["partition"])
        return Request(job, partition, self.memory_mb(job), need.gpus, need.threads, self.minutes(job))

    def refusals(self, requests: Iterable[Request]) -> list[str]:
        """Why jobs cannot run in their partitions: one line for the largest of each rule, with the key.

        Raises:
            UserError: there is no such partition.
        """
        limits: dict[tuple[str, str], Limits] = {}  # by rule and partition
        refused: dict[tuple[str, str], list[Request]] = {}
        for request in requests:
            of = request.job.rule, request.partition
            if of not in limits:
                given = self.given(self.kind(request.job.rule)) | {"partition": request.partition}
                limits[of] = limits_of(given, self._place(*of))
            if limits[of].lacks(*request[2:]):
                refused.setdefault(of, []).append(request)
        return [self._refusal(of, alike, limits[of]) for of, alike in refused.items()]

    def _place(self, rule: str, partition: str) -> str:
        """Where a partition is named: in the config, or on a command line or in a profile."""
        kind = self.kind(rule)
        own = partition in ("", str(self._cluster.given(kind).get("partition")))
        return self._cluster.place(kind, "partition") if own else f"resource slurm_partition of {rule}"

    def _refusal(self, of: tuple[str, str], refused: Sequence[Request], limits: Limits) -> str:
        job, partition, *asked = max(refused, key=lambda each: each.memory_mb)
        why = limits.lacks(*asked)
        more = f" ({len(refused)} jobs of this rule ask for too much)" if len(refused) > 1 else ""
        where = f"partition {partition}" if partition else "the default partition"
        lower = ", or lower encoding.memory_gb" if job.rule in _FITS and "MB" in str(why) else ""
        unit = " ".join([job.rule, *job.wildcards.values()])
        return f"{self._place(*of)}: {unit} {why} of {where}{more}; name another partition{lower}"

    def notes(self, jobs: Iterable[Job]) -> list[str]:
        """What a plan says of the cluster: jobs that no node can run, with fewer cores or too little time."""
        if not self._on_slurm:
            return []
        if not read_partitions():
            return ["sinfo does not answer here: what the cluster's partitions offer is not known"]
        local = () if self._cluster.submits_downloads else ("download",)
        jobs = [job for job in jobs if self.kind(job.rule) not in local]
        fewer, late = Counter[str](), Counter[str]()
        for job in jobs:
            kind, need = self.kind(job.rule), self.need(job)
            fewer[kind] += need.threads < self._jobs.need(job).threads
            late[kind] += need.seconds / 60 > self.minutes(job)
        found = self.refusals(map(self.request, jobs))
        for kinds, text in (
            (
                fewer,
                "get fewer cores than they are worth, those of a node with their memory, and take longer",
            ),
            (late, "may take longer than the partition allows; a retry goes on where a job was cut off"),
        ):
            found += [
                f"{self._cluster.place(k, 'partition')}: {n} jobs {text}" for k, n in kinds.items() if n
            ]
        return found
