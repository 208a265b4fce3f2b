"""Score by layer, at relative depth, per family."""

from voxscale.errors import script
from voxscale.figures.frames import load
from voxscale.figures.layers import draw_layers
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_layers(load("layers", snakemake.input.layers), **snakemake.params.options),
            *snakemake.output,
        )
