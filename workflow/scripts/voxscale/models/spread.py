"""Where a model's weights lie: on GPUs, in memory and on disk, within the config's `features.max_memory`."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from voxscale.errors import UserError
from voxscale.models.registry import DTYPE_BYTES

_GPU_BYTES = 0.9 * 80e9  # of one GPU that may be taken; larger models are spread over several
_ROOM_BYTES = 8e9  # besides the weights, on all GPUs together; with a limit, the rest of each GPU is room
_UNITS = {"K": 1, "M": 2, "G": 3}


class Spread(NamedTuple):
    """What a model's weights take: GPUs; bytes of memory; bytes of disk, for as long as they are loaded."""

    gpus: int
    memory: float
    disk: float


def size_bytes(text: str) -> int:
    """Bytes of a size as the config has it: 70GiB, 500 MB."""
    number, unit, binary = re.fullmatch(r"(\d+) ?([KMG])(i?)B", text).groups()
    return int(number) * (1024 if binary else 1000) ** _UNITS[unit]


def item_bytes(dtype: str) -> int:
    """Bytes of a number; `auto` is counted as float32, its largest case on a CPU.

    Raises:
        UserError: no such dtype.
    """
    known = {**DTYPE_BYTES, "float64": 8, "auto": 4}
    if dtype not in known:
        raise UserError(f"config: unknown dtype {dtype}; known are {', '.join(known)}")
    return known[dtype]


def spread_weights(
    weights: float, gpu: bool, device_map: str | None, max_memory: Mapping[str, str]
) -> Spread:
    """Where weights lie. GPUs are filled first, then memory, then disk.

    There are as many GPUs as needed for the weights that memory does not hold. Memory holds weights up to its
    limit; without a limit it holds none, but all weights pass through it.

    Args:
        weights: bytes.
        gpu: whether there are GPUs.
        device_map, max_memory: of the config's `features`. Without a map, limits apply to models that fit on
            no GPU.
    """
    if not gpu and not device_map:
        return Spread(0, 2 * weights, 0)  # also packed for the CPU's matrix products
    limited = bool(device_map) or weights > _GPU_BYTES
    limits = {kind: size_bytes(text) for kind, text in max_memory.items()} if limited else {}
    memory = min(weights, limits.get("cpu", weights))
    if not gpu:
        return Spread(0, memory, weights - memory)
    each, needed = limits.get("gpu", _GPU_BYTES), weights - limits.get("cpu", 0)
    needed += 0 if "gpu" in limits else _ROOM_BYTES
    gpus = max(1, math.ceil(needed / each)) if each else 1
    return Spread(gpus, memory, max(0, weights - gpus * each - memory))
