"""Banded ridge of one subject on features of several models."""

from voxscale.encoding import fit_banded, with_means
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        fit_banded(
            features=snakemake.input.features,
            responses=snakemake.input.responses,
            subject_table=snakemake.input.subject,
            scores_out=snakemake.output.banded_scores,
            bands_out=snakemake.output.bands,
            bands=snakemake.params.bands,
            cell=snakemake.params.cell,
            samples=snakemake.params.samples,
            settings=with_means(snakemake.params.settings, snakemake.resources),
        )
