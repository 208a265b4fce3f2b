"""What stacking gains: on the cortex, over voxels, by region."""

from voxscale.errors import script
from voxscale.figures.frames import load
from voxscale.figures.maps import draw_gain
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_gain(
                load("stacking", snakemake.input.stacking),
                load("voxels", snakemake.input.voxels),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
