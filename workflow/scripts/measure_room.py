"""Share of the noise ceiling that each voxel's score reaches, and the room left."""

from voxscale.errors import script
from voxscale.room import measure_room

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        measure_room(snakemake.input.scores, snakemake.input.voxels, snakemake.output.room)
