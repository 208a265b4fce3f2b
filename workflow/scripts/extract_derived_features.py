"""Reduce a model's features to principal components of its training stories."""

from voxscale.features import extract_components
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        extract_components(
            snakemake.input.features,
            snakemake.input.card,
            snakemake.output.features,
            snakemake.params.store,
            snakemake.params.training,
            snakemake.params.layers,
            snakemake.params.settings,
        )
