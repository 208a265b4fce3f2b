"""What stacking gains: on the cortex, over voxels, by region."""

from voxscale.figures import draw_gain, load, save
from voxscale.script import script

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
