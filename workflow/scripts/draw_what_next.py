"""The joint law of model size and training hours, and the gain of each next step."""

from voxscale.errors import script
from voxscale.figures.frames import load
from voxscale.figures.outlook import draw_what_next
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_what_next(
                load("joint_surface", snakemake.input.surface),
                load("what_next", snakemake.input.what_next),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
