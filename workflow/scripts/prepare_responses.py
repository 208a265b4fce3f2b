"""Responses of one subject in one checked file."""

from voxscale.dataset import Member, Reading, prepare_responses
from voxscale.provenance import collect
from voxscale.script import script


def _reading(settings):
    return Reading(**settings) if settings else None


if "snakemake" in globals():
    with script(snakemake):
        prepare_responses(
            path=snakemake.output.responses,
            sources=snakemake.params.sources,
            clocks=snakemake.params.clocks,
            test_stories=snakemake.params.test,
            reading=_reading(snakemake.params.reading),
            voxels=snakemake.input.get("voxels"),
            keep=snakemake.params.keep,
            weak_repeats=snakemake.params.weak_repeats,
            provenance=collect(rule=snakemake.rule),
            members=[Member(one["sources"], _reading(one["reading"])) for one in snakemake.params.members],
        )
