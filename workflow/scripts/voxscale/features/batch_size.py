"""The batch size of a model, kept in the folder of its features.

Rounding depends on the batch size. So a job that continues after a kill, perhaps with other free memory, uses
the batch size with which it began, and ends with the same bytes as a job that was never stopped.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import torch

from voxscale.errors import UserError
from voxscale.features.store import content_key
from voxscale.io import read_json, write_json
from voxscale.models import is_out_of_memory

T = TypeVar("T")


class BatchSize:
    """A batch size that is halved where memory does not suffice.

    Args:
        value: the size.
        model: name of the model, for messages.
        path: file that keeps the size; None to forget it.
    """

    def __init__(self, value: int, model: str, path: Path | None = None) -> None:
        self.value, self.model, self.path = value, model, path

    @classmethod
    def kept(
        cls,
        folder: str | Path,
        card: Mapping[str, Any],
        model: Any,
        find: Callable[[], int],
        **depends: Any,
    ) -> Self:
        """A size that is found once for a model on a kind of device.

        Args:
            folder: where the model's features are.
            card: model card.
            model: the model, loaded.
            find: gives the size; called only where none is known yet.
            depends: what else another size would be right for (JSON-able).
        """
        device = torch.device(model.device)
        # Another kind of GPU has other memory, and rounds differently in any case.
        kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        key = content_key(weights=card["weights_id"], dtype=str(model.dtype), device=kind, **depends)
        path = Path(folder) / f"batch-{key}.json"
        if not path.exists():
            write_json(path, {"batch": find()})
        return cls(int(read_json(path)["batch"]), card["model"], path)

    def run(self, work: Callable[[int], T], refusal: str, least: int = 1) -> T:
        """Do some work with this size; where memory is not enough, with half of it, here and in later jobs.

        Args:
            work: function of the size.
            refusal: what the least size is and what to do, for the error.
            least: size that is not halved.

        Raises:
            UserError: out of memory with the least size.
        """
        while True:
            try:
                return work(self.value)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.value <= least:
                    raise UserError(
                        f"{self.model}: out of memory with {refusal}, or set features.device_map: auto"
                    ) from None
            self.value = max(1, self.value // 2)
            if self.path:
                write_json(self.path, {"batch": self.value})
            print(f"{self.model}: out of memory; going on with batches of {self.value}", file=sys.stderr)
