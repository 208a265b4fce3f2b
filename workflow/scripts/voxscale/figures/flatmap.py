"""Flatmaps of ds003020's subjects, drawn by pycortex."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from voxscale.cortex import open_database, transform_of
from voxscale.dataset import open_subject
from voxscale.errors import UserError
from voxscale.io import atomic, tables


def paint_flatmap(
    values: np.ndarray, subject: str, transform: str, database: str | Path, path: str | Path, title: str = ""
) -> None:
    """Draw one correlation per voxel on a subject's own flattened cortex, in colours from 0 to 0.6.

    pycortex keeps its lookup tables in the database's folder of the subject.

    Args:
        values: (voxels,) in the order of the response files; NaN is left blank.
        transform: name of the subject's transform (`subject_xfms.json`).
        database: pycortex filestore.
        path: file to write, .png or .pdf.

    Raises:
        UserError: pycortex is not installed, does not know the subject, or its mask has other voxels.
    """
    cortex = open_database(database, subject)
    from matplotlib import pyplot

    try:
        volume = cortex.Volume(values.astype(float), subject, transform, cmap="viridis", vmin=0, vmax=0.6)
    except (ValueError, OSError) as error:
        raise UserError(
            f"{database}: {len(values)} values do not fit {subject}'s transform {transform} "
            f"({str(error).splitlines()[0]}); check the subject's responses"
        ) from None
    # Region outlines are drawn by Inkscape; without it the map is plain.
    outlines = shutil.which("inkscape") is not None
    figure = cortex.quickflat.make_figure(
        volume, with_rois=outlines, with_labels=outlines, with_curvature=True
    )
    figure.suptitle(title)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, facecolor="white")
    pyplot.close(figure)


def draw_flatmap(
    scores: str | Path,
    responses: str | Path,
    subject: str,
    model: str,
    transforms: str | Path,
    database: str | Path,
    path: str | Path,
) -> None:
    """Draw one model's voxel scores on one subject's flattened cortex.

    Args:
        scores: table `scores` of the brain maps.
        responses: `results/responses/<subject>.h5`, which knows which voxels of the dataset were fitted.
        model: whose scores.
        transforms: JSON file, subject -> name of its pycortex transform.
        database, path: see `paint_flatmap`.

    Raises:
        UserError: pycortex is not installed, the subject has no transform, or the model no score.
    """
    transform = transform_of(transforms, subject)
    values = whole_cortex(scores, responses, subject, model)
    paint_flatmap(values, subject, transform, database, path, f"{subject}: r of {model}")


def whole_cortex(scores: str | Path, responses: str | Path, subject: str, model: str) -> np.ndarray:
    """Scores of one model at every voxel of the dataset's files, NaN where none was fitted: (voxels,).

    Raises:
        UserError: the table has no score of this model and subject.
    """
    table = tables.read("scores", scores, ["model", "subject", "draw", "voxel", "r"])
    mine = table.filter(
        (pc.field("model") == model) & (pc.field("subject") == subject) & (pc.field("draw") == 0)
    )
    if not mine.num_rows:
        raise UserError(f"{scores}: has no score of {model} for {subject}; name the model in config key maps")
    values = np.full(int(open_subject(responses).attrs["n_columns"]), np.nan)
    values[mine["voxel"].to_numpy()] = mine["r"].to_numpy()
    return values
