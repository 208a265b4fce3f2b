"""Predicted and measured memory and time of jobs."""

from voxscale.jobs import write_comparison
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        write_comparison(snakemake.output.resources, snakemake.params.config, snakemake.params.base)
