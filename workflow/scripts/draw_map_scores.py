"""Voxel scores on the cortex."""

from voxscale.figures import draw_score_maps, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_score_maps(
                load("scores", snakemake.input.scores),
                load("voxels", snakemake.input.voxels),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
