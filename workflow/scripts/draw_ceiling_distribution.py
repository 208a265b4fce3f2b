"""Noise ceiling, share of it reached and room left, over voxels."""

from voxscale.figures import draw_ceiling, load, save, with_room
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_ceiling(
                with_room(load("voxels", snakemake.input.voxels), load("room", snakemake.input.room)),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
