"""Score against the seconds cut from the start of each test story."""

from voxscale.figures import draw_artifact, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_artifact(load("artifact", snakemake.input.artifact), **snakemake.params.options),
            *snakemake.output,
        )
