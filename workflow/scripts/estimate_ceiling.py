"""Noise ceiling of every voxel of one subject, and the agreement of its repeats."""

from voxscale.ceiling import estimate_ceiling
from voxscale.errors import script
from voxscale.voxel_tables import read_regions

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        estimate_ceiling(
            snakemake.input.responses,
            snakemake.output.ceiling,
            snakemake.output.drift,
            snakemake.wildcards.subject,
            snakemake.params.settings,
            read_regions(snakemake.input.get("voxels")),
        )
