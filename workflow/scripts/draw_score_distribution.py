"""Voxel scores over voxels."""

from voxscale.errors import script
from voxscale.figures.distributions import draw_scores
from voxscale.figures.frames import load
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_scores(load("scores", snakemake.input.scores), **snakemake.params.options),
            *snakemake.output,
        )
