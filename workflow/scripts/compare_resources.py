"""Memory and time that jobs were said to need, beside what they took."""

from voxscale.errors import script
from voxscale.usage import write_comparison

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        write_comparison(snakemake.output.page, snakemake.params.config, snakemake.params.folder)
