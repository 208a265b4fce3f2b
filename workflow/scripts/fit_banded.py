"""Banded ridge of one subject on features of several models."""

from voxscale.banded_cell import fit_banded
from voxscale.cell_data import with_means
from voxscale.errors import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        fit_banded(
            features=snakemake.input.features,
            responses=snakemake.input.responses,
            subject_table=snakemake.input.subject,
            scores_out=snakemake.output.scores,
            bands_out=snakemake.output.bands,
            bands=snakemake.params.bands,
            cell=snakemake.params.cell,
            samples=snakemake.params.samples,
            settings=with_means(snakemake.params.settings, snakemake.resources),
        )
