"""Noise ceiling, share of it reached and room left, on the cortex."""

from voxscale.errors import script
from voxscale.figures.distributions import with_room
from voxscale.figures.frames import load
from voxscale.figures.maps import draw_ceiling_maps
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_ceiling_maps(
                with_room(load("voxels", snakemake.input.voxels), load("room", snakemake.input.room)),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
