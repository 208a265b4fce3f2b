"""Ridge weights of one cell at the alphas its fit chose."""

from voxscale.encoding import CellData, cell_files, weigh_cell
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        data = CellData.of(snakemake.input, snakemake.params.cell, all_settings(snakemake.params))
        (scores,) = cell_files("scores", snakemake.input.fits, [data.name])
        weigh_cell(data, scores, snakemake.output.cell_weights)
