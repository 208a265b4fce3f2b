"""Voxel scores on the cortex."""

from voxscale.errors import script
from voxscale.figures.frames import load
from voxscale.figures.maps import draw_score_maps
from voxscale.figures.style import save

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
