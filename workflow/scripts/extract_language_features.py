"""Extract a causal LM's features of every story, all layers in one pass, on the TR clock."""

from voxscale.features import extract_text
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        extract_text(
            snakemake.input.card,
            dict(
                zip(
                    snakemake.params.stories,
                    zip(snakemake.input.words, snakemake.input.clocks, strict=True),
                    strict=True,
                )
            ),
            snakemake.output.features,
            snakemake.params.store,
            all_settings(snakemake.params) | {"bits_per_character": snakemake.params.bits_per_character},
        )
