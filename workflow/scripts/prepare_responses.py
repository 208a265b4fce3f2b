"""Responses of one subject in one checked file."""

from voxscale.dataset import Reading, prepare_responses
from voxscale.provenance import collect
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        prepare_responses(
            path=snakemake.output.responses,
            sources=snakemake.params.sources,
            clocks=snakemake.params.clocks,
            test_stories=snakemake.params.test,
            reading=Reading(**snakemake.params.reading) if snakemake.params.reading else None,
            voxels=snakemake.input.get("voxels"),
            keep=snakemake.params.keep,
            weak_repeats=snakemake.params.weak_repeats,
            provenance=collect(rule=snakemake.rule),
        )
