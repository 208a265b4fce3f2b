"""Several subjects whose voxels are at the same places: the condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxscale.dataset.responses import SubjectResponses
from voxscale.errors import UserError

ONE_SPACE = "what is across subjects needs responses in one space: fsaverage5, or MNI with one grid and mask"


def require_common(group: Sequence[SubjectResponses]) -> None:
    """Make sure that subjects have the same voxels.

    Raises:
        UserError: two differ.
    """
    first = group[0]
    for other in group[1:]:
        if not np.array_equal(other.voxels, first.voxels):
            raise UserError(
                f"{other.path}: has {other.n_voxels} voxels, {first.path.name} {first.n_voxels}, or others; "
                f"{ONE_SPACE}"
            )
