"""The kinds of datasets that a config can name; what each is stands in `voxscale.dataset.base`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxscale.dataset.base import Dataset, Phantom
from voxscale.dataset.own import Bids, Folder
from voxscale.dataset.published import OpenNeuro
from voxscale.errors import UserError

KINDS = {kind.kind: kind for kind in (Phantom, OpenNeuro, Folder, Bids)}


def open_dataset(config: Mapping[str, Any], markers: str | Path = "results/dataset") -> Dataset:
    """The dataset that a completed config's `dataset` block describes.

    Args:
        markers: where the rule that fetches a dataset leaves its marks.

    Raises:
        UserError: the kind is unknown.
    """
    if config["kind"] not in KINDS:
        raise UserError(f"config key dataset.kind: {config['kind']} is unknown; known are {', '.join(KINDS)}")
    return KINDS[config["kind"]](config, markers)
