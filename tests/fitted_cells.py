"""Files that a batch of fits leaves, with next to nothing in them."""

from voxscale.encoding.cells import write_index
from voxscale.io import new_hdf5, tables
from voxscale.jobs import FittedCells
from voxscale.jobs.batches import cells_in
from voxscale.jobs.fits import cell_settings
from voxscale.provenance import note_job, writing


def leave_cell(study, cell, key="key", settings=None):
    """Scores and moments of a cell; by default with the study's own settings."""
    scores, moments = FittedCells(study).paths(cell)
    row = {name: 0 for name in tables.SCHEMAS["scores"].names} | cell._asdict()
    with writing(key=key, settings=settings or cell_settings(study, cell)):
        tables.write("scores", [row], scores)
        with new_hdf5(moments):
            pass
    return scores, moments


def leave_batch(jobs, job):
    """All cells of a batch and its index."""
    cells = cells_in(jobs.study, job.wildcards)
    for cell in cells:
        leave_cell(jobs.study, cell)
    note_job(jobs.digest(job))
    write_index(job.output, [(cell._asdict(), "key") for cell in cells])
    note_job(None)
    return cells
