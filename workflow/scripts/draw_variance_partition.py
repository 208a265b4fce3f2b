"""Variance that language, speech or either explains, by region."""

from voxscale.errors import script
from voxscale.figures.distributions import draw_variance_partition
from voxscale.figures.frames import load, with_place
from voxscale.figures.style import save

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
