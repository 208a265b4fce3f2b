"""Region and place on the cortex of each voxel of a subject, from the dataset's own surfaces."""

from voxscale.dataset import write_voxel_places
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_voxel_places(
            snakemake.params.database,
            snakemake.wildcards.subject,
            snakemake.input.transforms,
            snakemake.input.responses,
            snakemake.output.places,
        )
