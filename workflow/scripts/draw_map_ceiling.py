"""Noise ceiling, share of it reached and room left, on the cortex."""

from voxscale.figures import draw_ceiling_maps, load, save, with_room
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_ceiling_maps(
                with_room(load("voxels", snakemake.input.voxels), load("room", snakemake.input.room)),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
