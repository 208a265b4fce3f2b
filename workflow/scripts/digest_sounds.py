"""Digests of the sounds of the stories that one subject heard."""

from voxscale.io import sha256_file, write_json
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        files = zip(snakemake.params.stories, snakemake.params.audio, strict=True)
        write_json(snakemake.output.sounds, {story: sha256_file(sound) for story, sound in files})
