"""Out-of-fold and test predictions of one cell at the alphas its fit chose."""

from voxscale.encoding import CellData, cell_files, predict_cell
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        data = CellData.of(snakemake.input, snakemake.params.cell, all_settings(snakemake.params))
        (scores,) = cell_files("scores", snakemake.input.fits, [data.name])
        predict_cell(data, scores, snakemake.output.cell_predictions)
