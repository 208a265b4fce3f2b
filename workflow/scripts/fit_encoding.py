"""Scores of a batch of cells: every draw of the training stories of each, scored on the test stories."""

from voxscale.encoding import fit_batch
from voxscale.script import all_settings, script

if "snakemake" in globals():
    with script(snakemake):
        fit_batch(
            snakemake.input.features,
            snakemake.input.responses,
            snakemake.input.subject,
            snakemake.input.responses_digest,
            snakemake.params.cells,
            snakemake.params.cell_settings,
            all_settings(snakemake.params),
            snakemake.output.fits,
        )
