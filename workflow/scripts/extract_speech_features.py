"""Extract a speech encoder's features of every story, all layers in one pass, on the TR clock."""

from voxscale.features import extract_speech
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        extract_speech(
            snakemake.input.card,
            dict(
                zip(
                    snakemake.params.stories,
                    zip(snakemake.params.audio, snakemake.input.clocks, strict=True),
                    strict=True,
                )
            ),
            snakemake.output.features,
            snakemake.params.store,
            all_settings(snakemake.params),
        )
