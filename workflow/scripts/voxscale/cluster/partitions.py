"""What SLURM's partitions offer (`sinfo`), so that no job asks for more than any node has."""

import functools
import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from voxscale.cluster.queue import answer_of
from voxscale.errors import UserError, hint

_FORMAT = "%P|%c|%m|%l|%B|%G"


class Node(NamedTuple):
    """One sort of nodes: cores, memory in MB, GPUs, and the longest job in minutes."""

    cores: float = math.inf
    memory_mb: float = math.inf
    gpus: float = math.inf
    minutes: float = math.inf


@dataclass(frozen=True)
class Limits:
    """What jobs of one kind can have at most.

    Args:
        nodes: every sort of nodes that they may run on.
    """

    nodes: tuple[Node, ...] = (Node(),)

    def cores(self, wanted: int, memory_mb: float, gpus: int = 0) -> int:
        """Cores of a job that is worth `wanted`, on a node that has the rest."""
        return int(min(wanted, max(node.cores for node in self._fitting(memory_mb, gpus) or self.nodes)))

    def memory_mb(self, first: int, wanted: int, gpus: int = 0) -> int:
        """Memory of a retry that asks for more than `first`; the first request is never lowered."""
        most = max((node.memory_mb for node in self._fitting(first, gpus)), default=wanted)
        return int(min(wanted, most))

    def minutes(self, wanted: int) -> int:
        """Time limit of a job; at least a minute, since 0 would be none."""
        return max(1, int(min(wanted, max(node.minutes for node in self.nodes))))

    def lacks(self, memory_mb: float, gpus: int = 0, cores: int = 1, minutes: float = 0) -> str | None:
        """Why no node can run a job, in words; None if one can."""
        asked = Node(cores, memory_mb, gpus, minutes)
        if any(all(map(operator.ge, node, asked)) for node in self.nodes):
            return None
        most = Node(*map(max, zip(*self.nodes, strict=True)))
        for unit, wanted, there in zip(("core(s)", "MB", "GPU(s)", "minutes"), asked, most, strict=True):
            if wanted > there:
                return f"asks for {wanted:,.0f} {unit}, and no node has more than {there:,.0f}"
        return f"asks for {cores} core(s), {memory_mb:,.0f} MB, {gpus} GPU(s), and no node has all of these"

    def _fitting(self, memory_mb: float, gpus: int) -> list[Node]:
        return [node for node in self.nodes if node.memory_mb >= memory_mb and node.gpus >= gpus]


def gpus_in(gres: str) -> int:
    """GPUs of a node or of a job, as SLURM writes them: gpu:2, gpu:a100:4(S:0-1),lscratch:3000."""
    return sum(int(n) for n in re.findall(r"\bgpu:(?:[^:,(]+:)?(\d+)", gres))


@functools.cache
def read_partitions() -> Mapping[str, tuple[Node, ...]]:
    """Nodes of each partition; the default one's also under an empty name. Empty if SLURM does not answer."""
    found: dict[str, list[Node]] = {}
    for line in answer_of("sinfo", "--all", "--noheader", "--exact", "--format", _FORMAT) or []:
        name, cores, memory, limit, per_node, gres = line.split("|", 5)
        most = _number(per_node)
        # A site that does not say how much memory its nodes have gets SLURM's default, 1.
        memory_mb = math.inf if memory == "1" else _number(memory)
        node = Node(min(_number(cores), most), memory_mb, gpus_in(gres), _minutes(limit))
        for each in {name.rstrip("*"), *([""] if name.endswith("*") else [])}:
            found.setdefault(each, []).append(node)
    return {name: tuple(nodes) for name, nodes in found.items()}


def limits_of(given: Mapping[str, Any], place: str = "") -> Limits:
    """Limits of jobs, from their partitions and from the keys that begin with `max_`.

    Args:
        given: `partition` and limits of one kind of job, as in the config's `cluster`.
        place: where the partition is named.

    Raises:
        UserError: there is no such partition.
    """
    partitions, names = read_partitions(), str(given.get("partition", "")).split(",")
    for name in names if partitions else ():
        if name and name not in partitions:
            known = sorted(filter(None, partitions))
            raise UserError(f"{place}: the cluster has no partition {name}; {hint(name, known)}")
    nodes = [node for name in names for node in partitions.get(name, ())] or [Node()]
    most = Node(
        cores=given.get("max_cores", math.inf),
        memory_mb=1000 * given.get("max_memory_gb", math.inf),
        minutes=given.get("max_minutes", math.inf),
    )
    return Limits(tuple(Node(*map(min, node, most)) for node in nodes))


def _number(text: str) -> float:
    """A number of sinfo's, of which a `+` says that some nodes have more."""
    digits = text.rstrip("+")
    return float(digits) if digits.isdigit() else math.inf


def _minutes(limit: str) -> float:
    """Minutes of a time limit such as 1-00:00:00."""
    if not re.fullmatch(r"(\d+-)?\d+(:\d+)*", limit):
        return math.inf  # infinite, n/a
    days, _, clock = limit.rpartition("-")
    hours, minutes, seconds = ([0, 0] + [int(part) for part in clock.split(":")])[-3:]
    return 1440 * int(days or 0) + 60 * hours + minutes + seconds / 60
