"""Score by layer, at relative depth, per family."""

from voxscale.figures import draw_layers, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_layers(load("layers", snakemake.input.layers), **snakemake.params.options),
            *snakemake.output,
        )
