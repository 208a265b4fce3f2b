"""Noise ceiling, share of it reached and room left, over voxels."""

from voxscale.errors import script
from voxscale.figures.distributions import draw_ceiling, with_room
from voxscale.figures.frames import load
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_ceiling(
                with_room(load("voxels", snakemake.input.voxels), load("room", snakemake.input.room)),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
