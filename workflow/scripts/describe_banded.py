"""Card of a banded model, by which its scores are gathered."""

from voxscale.encoding import describe_banded
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        describe_banded(snakemake.input.cards, snakemake.output.banded_card, snakemake.params.model)
