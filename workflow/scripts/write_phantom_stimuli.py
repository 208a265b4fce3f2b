"""Write the phantom's stories: sounds, transcripts and clocks in the published layout, and their truth."""

from voxscale.phantom import write_stimuli
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_stimuli(
            snakemake.params.root,
            snakemake.params.truth,
            snakemake.params.settings,
        )
