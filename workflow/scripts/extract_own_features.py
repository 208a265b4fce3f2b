"""Bring features of the user's own, or the vectors of each story's words, to the TR clock."""

from voxscale.features import OwnSources, extract_own
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake) as digests:
        extract_own(
            snakemake.input.card,
            {
                story: OwnSources(*sources)
                for story, *sources in zip(
                    snakemake.params.stories,
                    snakemake.input.clocks,
                    snakemake.input.words,
                    snakemake.params.files,
                    strict=True,
                )
            },
            digests,
            snakemake.output.features,
            snakemake.params.store,
            all_settings(snakemake.params),
        )
