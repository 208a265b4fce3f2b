"""Ridge weights of one cell at the alphas its fit chose."""

from voxscale.encoding import weigh_cell, with_means
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        weigh_cell(
            features=snakemake.input.features,
            responses=snakemake.input.responses,
            subject_table=snakemake.input.subject,
            scores=snakemake.input.scores,
            weights_out=snakemake.output.cell_weights,
            cell=snakemake.params.cell,
            settings=with_means(snakemake.params.settings, snakemake.resources),
        )
