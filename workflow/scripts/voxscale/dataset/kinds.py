"""The kinds of dataset that a config may name.

phantom    written by this workflow, in ds003020's layout
ds003020   OpenNeuro's ds003020; its files come from a manifest, so that planning needs no data
folder     a lab's own folder of transcripts and responses
bids       images of a BIDS derivative, cleaned by the lab
fmriprep   fMRIPrep's derivatives as they come
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxscale.dataset.average import Averaged
from voxscale.dataset.base import Dataset
from voxscale.dataset.kind_bids import BidsDataset
from voxscale.dataset.kind_ds003020 import Ds003020
from voxscale.dataset.kind_fmriprep import FmriprepDataset
from voxscale.dataset.kind_own import FolderDataset
from voxscale.dataset.kind_phantom import PhantomDataset

_KINDS = {kind.kind: kind for kind in (PhantomDataset, Ds003020, FolderDataset, BidsDataset, FmriprepDataset)}


def open_dataset(config: Mapping[str, Any], markers: str | Path = "results/dataset") -> Dataset:
    """The dataset that a completed config's `dataset` block describes.

    Args:
        markers: where the rule that downloads a dataset leaves its marks.
    """
    kind = _KINDS[config["kind"]]
    if config.get("average"):
        kind = type(f"Averaged{kind.__name__}", (Averaged, kind), {})
    return kind(config, markers)
