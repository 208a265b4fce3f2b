"""Voxel scores over voxels."""

from voxscale.figures import draw_scores, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_scores(load("scores", snakemake.input.scores), **snakemake.params.options),
            *snakemake.output,
        )
