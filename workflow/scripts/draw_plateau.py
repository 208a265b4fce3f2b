"""Laws with and without the points where p > n, and scores against bits per character."""

from voxscale.errors import script
from voxscale.figures.frames import load
from voxscale.figures.outlook import draw_plateau
from voxscale.figures.style import save

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
