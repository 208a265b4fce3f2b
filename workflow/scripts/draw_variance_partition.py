"""Variance that language, speech or either explains, by region."""

from voxscale.figures import draw_variance_partition, load, save, with_place
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_variance_partition(
                with_place(
                    load("stacking", snakemake.input.stacking), load("voxels", snakemake.input.voxels)
                ),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
