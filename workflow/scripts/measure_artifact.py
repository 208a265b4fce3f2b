"""Score against the seconds left out at the start of each test story."""

from voxscale.encoding import cell_files
from voxscale.scores import write_artifact
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_artifact(
            snakemake.params.cells,
            cell_files("moments", snakemake.input.fits, snakemake.params.cells),
            snakemake.input.voxels,
            snakemake.output.artifact,
            settings=snakemake.params.settings,
        )
