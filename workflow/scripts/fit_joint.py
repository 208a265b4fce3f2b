"""The score as a surface over parameters and training hours, and what to do next."""

from voxscale.encoding import cell_files
from voxscale.laws import write_joint
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_joint(
            snakemake.params.cells,
            cell_files("moments", snakemake.input.fits, snakemake.params.cells),
            snakemake.input.summary,
            snakemake.input.voxels,
            snakemake.output.joint,
            snakemake.output.joint_surface,
            snakemake.output.what_next,
            spec=snakemake.params.spec,
            settings=snakemake.params.settings,
        )
