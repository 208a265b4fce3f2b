"""Make a control's or a nested model's features of every story on the TR clock."""

from itertools import repeat

from voxscale.features import ControlSources, extract_controls
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        extract_controls(
            snakemake.input.card,
            {
                story: ControlSources(*files)
                for story, *files in zip(
                    snakemake.params.stories,
                    snakemake.input.clocks,
                    snakemake.input.words,
                    snakemake.input.phones,
                    snakemake.params.audio,
                    snakemake.input.latents or repeat(None),
                    strict=False,
                )
            },
            snakemake.output.features,
            snakemake.params.store,
            all_settings(snakemake.params),
        )
