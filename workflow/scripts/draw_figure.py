"""One figure of the study, drawn from its tables."""

from voxscale.figures import draw_figure
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        draw_figure(
            snakemake.params.draw, dict(snakemake.input.items()), snakemake.params.options, *snakemake.output
        )
