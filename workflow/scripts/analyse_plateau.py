"""Scores of language models against size and against bits per character of the same stories."""

from voxscale.laws import write_plateau
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_plateau(
            snakemake.input.points,
            dict(zip(snakemake.params.models, snakemake.input.features, strict=True)),
            snakemake.output.plateau,
            snakemake.output.plateau_fits,
        )
