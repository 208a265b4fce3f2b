"""Stack the members' predictions of one subject, score the stack, partition its variance."""

from voxscale.encoding import with_means
from voxscale.script import script
from voxscale.stacking import write_stacking

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        write_stacking(
            snakemake.input.predictions,
            snakemake.input.cards,
            snakemake.input.responses,
            snakemake.output.stacking,
            snakemake.output.stacking_weights,
            cells=snakemake.params.cells,
            settings=with_means(snakemake.params.settings, snakemake.resources),
        )
