"""Known truth of the phantom beside what was recovered."""

from voxscale.figures import draw_validation, save
from voxscale.io import read_json
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_validation(read_json(snakemake.input.validation), **snakemake.params.options),
            *snakemake.output,
        )
