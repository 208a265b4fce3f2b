"""Stack the members' predictions of one subject, score the stack, partition its variance."""

from voxscale.errors import script
from voxscale.stacks import stack_subject

if "snakemake" in globals():
    with script(snakemake):
        stack_subject(
            snakemake.input.predictions,
            snakemake.input.cards,
            snakemake.input.responses,
            snakemake.output.stacking,
            snakemake.output.weights,
            cells=snakemake.params.cells,
            settings=snakemake.params.settings,
        )
