"""Known truth of the phantom beside what was recovered."""

from voxscale.errors import script
from voxscale.figures.style import save
from voxscale.figures.truth import draw_validation
from voxscale.io import read_json

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        save(
            *draw_validation(read_json(snakemake.input.validation), **snakemake.params.options),
            *snakemake.output,
        )
