"""Noise ceiling of every voxel of one subject, and the agreement of its repeats."""

from voxscale.dataset import read_regions
from voxscale.scores import write_ceiling
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_ceiling(
            snakemake.input.responses,
            snakemake.output.ceiling,
            snakemake.output.drift,
            snakemake.wildcards.subject,
            snakemake.params.settings,
            read_regions(snakemake.input.get("voxels")),
            snakemake.input.get("others", []),
        )
