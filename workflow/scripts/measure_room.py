"""Share of the noise ceiling that each voxel's score reaches, and the room left."""

from voxscale.scores import write_room
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_room(snakemake.input.scores, snakemake.input.voxels, snakemake.output.room)
