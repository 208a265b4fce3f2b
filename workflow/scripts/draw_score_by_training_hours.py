"""Score against the hours of training data, with its law."""

from voxscale.errors import script
from voxscale.figures.frames import load
from voxscale.figures.scaling import draw_law
from voxscale.figures.style import save

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_law(
                load("law_points", snakemake.input.points),
                load("laws", snakemake.input.laws),
                load("law_curves", snakemake.input.curves),
                load("summary", snakemake.input.summary),
                **snakemake.params.options,
            ),
            *snakemake.output,
        )
