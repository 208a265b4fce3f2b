"""Score against the seconds cut from the start of each test story."""

from voxscale.errors import script
from voxscale.figures.checks import draw_artifact
from voxscale.figures.frames import load
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_artifact(load("artifact", snakemake.input.artifact), **snakemake.params.options),
            *snakemake.output,
        )
