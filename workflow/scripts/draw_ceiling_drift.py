"""Agreement of the repeats of the test story, from the first to the last."""

from voxscale.figures import draw_drift, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(*draw_drift(load("drift", snakemake.input.drift), **snakemake.params.options), *snakemake.output)
