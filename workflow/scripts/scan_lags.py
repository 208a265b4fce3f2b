"""Score of the word rate over shifts of each story of one subject."""

from voxscale.scores import write_lags
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_lags(
            snakemake.input.responses,
            snakemake.params.stories,
            snakemake.input.words,
            snakemake.input.clocks,
            snakemake.output.lags,
            snakemake.output.lag_curves,
            snakemake.wildcards.subject,
            snakemake.params.settings,
        )
