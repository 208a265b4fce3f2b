"""Scores by relative depth, the layer chosen in training, and the optimism of choosing on the test set."""

from voxscale.encoding import cell_files
from voxscale.scores import write_layers
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_layers(
            snakemake.params.cells,
            cell_files("scores", snakemake.input.fits, snakemake.params.cells),
            cell_files("moments", snakemake.input.fits, snakemake.params.cells),
            snakemake.input.summary,
            snakemake.input.voxels,
            snakemake.output.layers,
            snakemake.output.layer_choice,
            settings=snakemake.params.settings,
        )
