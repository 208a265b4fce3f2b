"""Difference of the scores of two fits: of each voxel, region and brain, with intervals and p."""

from voxscale.encoding import cell_files
from voxscale.scores import write_comparison
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        first, second = zip(*snakemake.params.cells, strict=True)
        fits = snakemake.input.fits
        write_comparison(
            snakemake.wildcards.comparison,
            [cell[2] for cell in first],
            cell_files("moments", fits, first),
            snakemake.input.other or cell_files("moments", fits, second),
            snakemake.input.voxels,
            snakemake.output.comparison,
            snakemake.output.comparison_sets,
            snakemake.params.settings,
        )
