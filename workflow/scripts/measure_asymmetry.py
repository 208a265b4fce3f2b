"""Score of each region on the left less that on the right."""

from voxscale.encoding import cell_files
from voxscale.scores import write_asymmetry
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_asymmetry(
            snakemake.params.cells,
            cell_files("moments", snakemake.input.fits, snakemake.params.cells),
            snakemake.input.voxels,
            snakemake.output.asymmetry,
            settings=snakemake.params.settings,
        )
