"""Digests of the sounds of the stories that one subject heard."""

from voxscale.io import write_json
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake) as digests:
        files = zip(snakemake.params.stories, snakemake.params.audio, strict=True)
        write_json(snakemake.output.sounds, {story: digests[sound] for story, sound in files})
