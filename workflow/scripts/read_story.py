"""Words, phones and TR clock of one story."""

from voxscale.errors import script
from voxscale.provenance import collect
from voxscale.stories import read_story

if "snakemake" in globals():
    with script(snakemake):  # noqa: F821
        read_story(
            transcript=snakemake.params.transcript,  # noqa: F821
            clocks=snakemake.params.clocks,  # noqa: F821
            story=snakemake.wildcards.story,  # noqa: F821
            words=snakemake.output.words,  # noqa: F821
            phones=snakemake.output.phones,  # noqa: F821
            clock=snakemake.output.clock,  # noqa: F821
            tr_s=snakemake.params.tr_s,  # noqa: F821
            trim=snakemake.params.trim,  # noqa: F821
            provenance=collect(rule=snakemake.rule),  # noqa: F821
        )
