"""Scores of the brain maps' language model on one subject's own flattened cortex."""

from voxscale.figures import draw_flatmap
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        draw_flatmap(
            snakemake.input.scores,
            snakemake.input.responses,
            snakemake.wildcards.subject,
            snakemake.params.model,
            snakemake.input.transforms,
            snakemake.params.database,
            snakemake.output.flatmap,
        )
