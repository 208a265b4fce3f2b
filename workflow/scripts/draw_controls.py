"""Every model beside the controls."""

from voxscale.figures import draw_controls, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_controls(load("summary", snakemake.input.summary), **snakemake.params.options),
            *snakemake.output,
        )
