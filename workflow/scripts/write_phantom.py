"""Write the phantom brain: a dataset in the published layout, and its truth in a folder of its own."""

from voxscale.errors import script
from voxscale.phantom import write

if "snakemake" in globals():
    with script(snakemake):
        write(
            snakemake.params.root,
            snakemake.params.truth,
            snakemake.params.settings,
            snakemake.params.prose,
        )
