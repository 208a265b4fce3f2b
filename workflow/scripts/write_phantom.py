"""Write the phantom brain: a dataset in the published layout, and its truth in a folder of its own."""

from voxscale.errors import script
from voxscale.phantom import write

if "snakemake" in globals():
    with script(snakemake):  # noqa: F821
        write(
            snakemake.params.root,  # noqa: F821
            snakemake.params.truth,  # noqa: F821
            snakemake.params.settings,  # noqa: F821
            snakemake.params.prose,  # noqa: F821
        )
