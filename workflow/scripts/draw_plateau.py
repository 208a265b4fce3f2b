"""Laws with and without the points where p > n, and scores against bits per character."""

from voxscale.figures import draw_plateau, load, save
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_plateau(
                load("law_points", snakemake.input.points),
                load("laws", snakemake.input.laws),
                load("plateau", snakemake.input.plateau),
                load("plateau_fits", snakemake.input.fits),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
