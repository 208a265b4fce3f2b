"""Responses of one subject in one checked file."""

from voxscale.errors import script
from voxscale.preparation import prepare_responses
from voxscale.provenance import collect

if "snakemake" in globals():
    with script(snakemake):  # noqa: F821
        prepare_responses(
            path=snakemake.output.responses,  # noqa: F821
            sources=snakemake.params.sources,  # noqa: F821
            clocks=snakemake.params.clocks,  # noqa: F821
            test_stories=snakemake.params.test,  # noqa: F821
            mask=snakemake.params.mask,  # noqa: F821
            keep=snakemake.params.keep,  # noqa: F821
            provenance=collect(rule=snakemake.rule),  # noqa: F821
        )
