"""Cleaning of fMRIPrep's runs by its own tables of confounds, with nilearn's functions for both."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.dataset.bids import entities_of
from voxscale.errors import UserError, first_line
from voxscale.io import require

_BLOCK_BYTES = 32 << 20  # of a block of voxels in float64
CLEANING_BYTES = 6 * _BLOCK_BYTES  # a block, its copies, and nilearn
_DUMMY = re.compile(r"non_steady_state_outlier\d+")
_QUOTED = re.compile(r"'([^']+)'(?!\))")
_OF_RUN = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part")


def confounds_table(image: Path) -> Path:
    """The table of confounds beside an image of fMRIPrep, of its newer or its older name.

    Raises:
        UserError: there is none, or there are several.
    """
    own = {key: value for key, value in entities_of(image).items() if key in _OF_RUN}
    found = [
        path
        for name in ("timeseries", "regressors")
        for path in sorted(image.parent.glob(f"*_desc-confounds_{name}.tsv"))
        # The table of several echoes has no echo in its name.
        if {key: value for key, value in entities_of(path).items() if key in _OF_RUN}
        in (own, {key: value for key, value in own.items() if key not in ("echo", "part")})
    ]
    if len(found) != 1:
        what = (
            f"has two tables of confounds, {found[0].name} and {found[1].name}" if found else "has no table"
        )
        remedy = "leave one of them there" if found else "..._desc-confounds_timeseries.tsv beside it; add it"
        raise UserError(f"{image}: {what}{'; ' if found else ' '}{remedy}")
    return found[0]


def n_dummy_scans(table: Path) -> int:
    """TRs at the start of a run that fMRIPrep marks as not yet in a steady state, by the table's header."""
    with require(table, "confounds").open() as file:
        return len(_DUMMY.findall(file.readline()))


def load_confounds(files: Sequence[Path], n_trs: int, settings: Mapping[str, Any]) -> np.ndarray | None:
    """Confounds of one run, chosen by `nilearn.interfaces.fmriprep.load_confounds`: (TRs, confounds).

    Args:
        files: the run's image, or both of its surfaces.
        n_trs: of the image.
        settings: arguments of that function, `strategy` among them; without any strategy there are none.

    Raises:
        UserError: the table lacks a column, has a value that is not finite or other TRs, or so many columns
            that nothing of the run is left.
    """
    if not settings["strategy"]:
        return None
    from nilearn.interfaces import fmriprep

    table, names = confounds_table(files[0]), [str(path) for path in files]
    try:
        # Scrubbing is not among the strategies: the second value only repeats the dummy scans.
        found, _ = fmriprep.load_confounds(names if len(names) > 1 else names[0], demean=False, **settings)
    except (ValueError, KeyError, IndexError) as error:
        what = first_line(error)
        if isinstance(error, KeyError):  # pandas: "['csf'] not in index", "None of [Index(['csf'], dtype=…"
            what = f"has no column {', '.join(_QUOTED.findall(what))}"
        raise UserError(f"{table}: {what}; choose others by config key dataset.fmriprep.confounds") from None
    if holes := [name for name in found if not np.isfinite(found[name].to_numpy(float)).all()]:
        raise UserError(f"{table}: column {holes[0]} has values that are not finite; get it again")
    if len(found) != n_trs:
        raise UserError(f"{table}: has {len(found)} rows, {files[0].name} has {n_trs} TRs; get both again")
    if found.shape[1] > n_trs / 2:
        raise UserError(
            f"{table}: {found.shape[1]} confounds for {n_trs} TRs leave hardly anything of the run; choose "
            "fewer by config key dataset.fmriprep.confounds"
        )
    return found.to_numpy(float)


def clean_run(
    values: np.ndarray, files: Sequence[Path], dummy_scans: int, cleaning: Mapping[str, Any]
) -> np.ndarray:
    """Remove drifts and confounds from a run by `nilearn.signal.clean`, in one regression.

    Args:
        values: (TRs, voxels) float32, without dummy scans; changed in place.
        files: the run's image or images, as fMRIPrep names them.
        cleaning: `confounds` (see `load_confounds`), `detrend`, `high_pass_hz` (None for no filter; its
            cosines are regressed out together with the confounds) and `tr_s`.

    Returns:
        (TRs, voxels) float32; with `detrend` each voxel's mean over time is 0. NaN where a voxel never
        changes or has a value that is not finite.

    Raises:
        UserError: the table of confounds does not fit.
    """
    from nilearn.signal import clean

    confounds = load_confounds(files, len(values) + dummy_scans, cleaning["confounds"])
    if confounds is not None:
        confounds = confounds[dummy_scans:]
    high_pass = cleaning["high_pass_hz"]
    usable = np.flatnonzero(np.isfinite(values).all(axis=0) & (values != values[0]).any(axis=0))
    step = max(1, _BLOCK_BYTES // (8 * len(values)))
    cleaned = np.full_like(values, np.nan)
    for start in range(0, len(usable), step):
        part = usable[start : start + step]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of changes in future versions of nilearn
            cleaned[:, part] = clean(
                values[:, part].astype(np.float64),
                confounds=confounds,
                detrend=cleaning["detrend"],
                standardize=None,
                filter="cosine" if high_pass else False,
                high_pass=high_pass,
                t_r=cleaning["tr_s"],
            )
    return cleaned
