"""Scores by relative depth, the layer chosen in training, and the optimism of choosing on the test set."""

from voxscale.scores import write_layers
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_layers(
            snakemake.params.cells,
            snakemake.input.scores,
            snakemake.input.moments,
            snakemake.input.summary,
            snakemake.input.voxels,
            snakemake.output.layers,
            snakemake.output.layer_choice,
            settings=snakemake.params.settings,
        )
