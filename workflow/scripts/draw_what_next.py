"""The joint law of model size and training hours, and the gain of each next step."""

from voxscale.figures import draw_what_next, load, save
from voxscale.script import script

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
