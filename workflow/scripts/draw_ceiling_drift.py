"""Agreement of the repeats of the test story, from the first to the last."""

from voxscale.errors import script
from voxscale.figures.checks import draw_drift
from voxscale.figures.frames import load
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(*draw_drift(load("drift", snakemake.input.drift), **snakemake.params.options), *snakemake.output)
