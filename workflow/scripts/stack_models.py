"""Stack the members' predictions of one subject, score the stack, partition its variance."""

from voxscale.script import all_settings, script
from voxscale.stacking import write_stacking

if "snakemake" in globals():
    with script(snakemake):
        write_stacking(
            snakemake.input.predictions,
            snakemake.input.cards,
            snakemake.input.responses,
            snakemake.output.stacking,
            snakemake.output.stacking_weights,
            cells=snakemake.params.cells,
            settings=all_settings(snakemake.params),
        )
