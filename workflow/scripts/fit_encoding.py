"""Scores of one cell: every draw of its training stories, scored on the test stories."""

from voxscale.encoding import fit_cell, with_means
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        fit_cell(
            features=snakemake.input.features,
            responses=snakemake.input.responses,
            subject_table=snakemake.input.subject,
            scores_out=snakemake.output.cell_scores,
            moments_out=snakemake.output.cell_moments,
            scratch=snakemake.params.scratch,
            cell=snakemake.params.cell,
            settings=with_means(snakemake.params.settings, snakemake.resources),
        )
