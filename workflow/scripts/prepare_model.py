"""Build or fetch one model and write its card."""

from voxscale.errors import script
from voxscale.models.prepare import prepare
from voxscale.models.registry import load_registry

if "snakemake" in globals():
    with script(snakemake):
        prepare(
            load_registry({snakemake.wildcards.model: snakemake.params.entry})[snakemake.wildcards.model],
            snakemake.output.card,
            snakemake.input.get("words", []),
            allow_quantized=snakemake.params.get("allow_quantized", False),
        )
