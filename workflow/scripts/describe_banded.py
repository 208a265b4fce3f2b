"""Card of a banded model, by which its scores are gathered."""

from voxscale.banded_cell import describe_banded
from voxscale.errors import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        describe_banded(snakemake.input.cards, snakemake.output.card, snakemake.params.model)
