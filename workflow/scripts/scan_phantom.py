"""Scan one subject of the phantom: voxels and responses in the published layout, and their truth."""

from voxscale.phantom import scan_subject
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        scan_subject(snakemake.params.root, snakemake.params.truth, snakemake.wildcards.subject)
