"""Region and place on the cortex of each voxel of a subject, from its surfaces or its images' space."""

from voxscale.dataset import write_voxel_places
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_voxel_places(snakemake.params.places, snakemake.input.responses, snakemake.output.places)
