"""Banded ridge of one subject on features of several models."""

from voxscale.encoding import CellData, fit_banded
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        cell, settings = snakemake.params.cell, all_settings(snakemake.params)
        bands = zip(snakemake.input.features, snakemake.params.bands, strict=True)
        fit_banded(
            [
                CellData(path, snakemake.input.responses, snakemake.input.subject, cell | band, settings)
                for path, band in bands
            ],
            cell,
            snakemake.params.samples,
            snakemake.output.banded_scores,
            snakemake.output.bands,
        )
