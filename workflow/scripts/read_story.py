"""Words, phones and TR clock of one story."""

from voxscale.dataset import write_story_tables
from voxscale.provenance import collect
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_story_tables(
            transcript=snakemake.params.transcript,
            clocks=snakemake.params.clocks,
            story=snakemake.wildcards.story,
            words=snakemake.output.words,
            phones=snakemake.output.phones,
            clock=snakemake.output.clock,
            tr_s=snakemake.params.tr_s,
            trim=snakemake.params.trim,
            timing=snakemake.params.timing,
            untimed=snakemake.params.untimed,
            provenance=collect(rule=snakemake.rule),
        )
