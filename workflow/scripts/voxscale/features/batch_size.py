"""How much a model is given at a time, kept beside its features.

Sums are rounded by how they are batched. So a job that goes on after a kill, with other free memory or at a
busier time, takes the batches that it began with, and ends with the bytes of one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from voxscale.features.store import content_key
from voxscale.io import read_json, write_json


class BatchSize:
    """A batch size that is found once for a model on a kind of device.

    Args:
        folder: where the model's features are.
        card: model card.
        model: the model, loaded.
        find: estimates the size, or measures several, the best so far after each; called only where none is
            known yet. Each is kept before the next is tried: no job repeats a trial that killed it.
        depends: what else another size would be right for (JSON-able).
    """

    def __init__(
        self,
        folder: str | Path,
        card: Mapping[str, Any],
        model: Any,
        find: Callable[[], Iterable[int]],
        **depends: Any,
    ) -> None:
        device = torch.device(model.device)
        # Another kind of GPU has other memory, and rounds otherwise in any case.
        kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        key = content_key(weights=card["weights_id"], dtype=str(model.dtype), device=kind, **depends)
        self.path = Path(folder) / f"batch-{key}.json"
        if not self.path.exists():
            for size in find():
                write_json(self.path, {"batch": size})
        self.value = int(read_json(self.path)["batch"])

    def halve(self) -> None:
        """Take half of it from now on, here and in every job that goes on."""
        self.value = max(1, self.value // 2)
        write_json(self.path, {"batch": self.value})
