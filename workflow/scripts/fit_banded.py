"""Banded ridge of one subject on features of several models."""

from voxscale.encoding import CellData, fit_banded, with_means
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        cell, settings = snakemake.params.cell, with_means(snakemake.params.settings, snakemake.resources)
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
