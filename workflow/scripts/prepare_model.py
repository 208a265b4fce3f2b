"""Build or fetch one model and write its card."""

from voxscale.errors import script
from voxscale.models.prepare import prepare
from voxscale.models.registry import ModelEntry

if "snakemake" in globals():
    with script(snakemake.rule, snakemake.log[0], snakemake.threads):
        prepare(
            ModelEntry(**snakemake.params.entry),
            snakemake.output.card,
            snakemake.input.get("words", []),
            allow_quantized=snakemake.params.allow_quantized,
            source=snakemake.input.get("source") or None,
        )
