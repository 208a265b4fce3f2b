"""Which stories one subject heard, in which role."""

from voxscale.errors import script
from voxscale.provenance import collect
from voxscale.stories import describe_subject

if "snakemake" in globals():
    with script(snakemake):  # noqa: F821
        describe_subject(
            subject=snakemake.wildcards.subject,  # noqa: F821
            training=snakemake.params.training,  # noqa: F821
            test=snakemake.params.test,  # noqa: F821
            words=snakemake.input.words,  # noqa: F821
            clocks=snakemake.input.clocks,  # noqa: F821
            path=snakemake.output.table,  # noqa: F821
            provenance=collect(rule=snakemake.rule),  # noqa: F821
        )
