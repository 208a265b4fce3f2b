"""Score against the size of the speech model, with its law."""

from voxscale.figures import draw_law, load, save
from voxscale.script import script

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
