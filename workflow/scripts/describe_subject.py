"""Which stories one subject heard, in which role."""

from voxscale.dataset import describe_subject
from voxscale.provenance import collect
from voxscale.script import script

if "snakemake" in globals():
    with script(snakemake):
        test = snakemake.params.test
        describe_subject(
            subject=snakemake.wildcards.subject,
            training=snakemake.params.training,
            folds=[test] if isinstance(test[0], str) else test,
            words=snakemake.input.words,
            clocks=snakemake.input.clocks,
            path=snakemake.output.subject_table,
            provenance=collect(rule=snakemake.rule),
        )
