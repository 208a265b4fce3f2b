"""Scores of one cell: every draw of its training stories, scored on the test stories."""

from voxscale.encoding import CellData, fit_cell
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        data = CellData.of(snakemake.input, snakemake.params.cell, all_settings(snakemake.params))
        fit_cell(data, snakemake.output.cell_scores, snakemake.output.cell_moments, snakemake.params.scratch)
