"""Build or fetch one model and write its card."""

from voxscale.models import ModelEntry, prepare_model
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake) as files:
        prepare_model(
            ModelEntry(**snakemake.params.entry, **snakemake.params.means.entry),
            snakemake.output.card,
            snakemake.input.get("words", []),
            allow_quantized=snakemake.params.means.allow_quantized,
            source=snakemake.input.get("source") or None,
            files=files,
        )
