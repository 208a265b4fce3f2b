"""All cells' scores in one table, a summary of every cell, and what is known of every voxel."""

from voxscale.encoding import cell_files
from voxscale.scores import gather_scores
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        fits, references = snakemake.input.fits, snakemake.params.references
        gather_scores(
            [*cell_files("scores", fits, snakemake.params.cells), *snakemake.input.banded],
            snakemake.input.cards,
            snakemake.input.ceilings,
            snakemake.params.voxel_tables,
            snakemake.output.scores,
            snakemake.output.summary,
            snakemake.output.voxels,
            list(zip(*(cell_files(kind, fits, references) for kind in ("scores", "moments")), strict=True)),
            snakemake.params.families,
            snakemake.params.settings,
        )
