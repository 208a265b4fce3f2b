"""Scan one subject of the phantom: voxels and responses in the published layout, and their truth."""

from voxscale.errors import script
from voxscale.phantom.writing import scan

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        scan(snakemake.params.root, snakemake.params.truth, snakemake.wildcards.subject)
