"""Every model beside the controls."""

from voxscale.errors import script
from voxscale.figures.checks import draw_controls
from voxscale.figures.frames import load
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_controls(load("summary", snakemake.input.summary), **snakemake.params.options),
            *snakemake.output,
        )
