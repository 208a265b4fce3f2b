"""All cells' scores in one table, a summary of every cell, and what is known of every voxel."""

from voxscale.scores import gather_scores
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        gather_scores(
            snakemake.input.scores,
            snakemake.input.cards,
            snakemake.input.ceilings,
            snakemake.params.voxel_tables,
            snakemake.output.scores,
            snakemake.output.summary,
            snakemake.output.voxels,
            list(zip(snakemake.input.references, snakemake.input.moments, strict=True)),
            snakemake.params.families,
            snakemake.params.settings,
        )
