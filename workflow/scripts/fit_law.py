"""One scaling law: its points and its forms, for every subject and pooled."""

from voxscale.encoding import cell_files
from voxscale.laws import write_law
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_law(
            snakemake.wildcards.law,
            snakemake.params.cells,
            cell_files("moments", snakemake.input.fits, snakemake.params.cells),
            snakemake.input.summary,
            snakemake.input.voxels,
            snakemake.output.laws,
            snakemake.output.law_points,
            snakemake.output.law_curves,
            spec=snakemake.params.spec,
            settings=snakemake.params.settings,
        )
