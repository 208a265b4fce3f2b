"""Compare what the workflow found with the phantom's truth."""

import pyarrow as pa

from voxscale import tables
from voxscale.errors import script
from voxscale.io import read_json, write_json
from voxscale.phantom.validation import validate

if "snakemake" in globals():
    with script(snakemake):
        write_json(
            snakemake.output[0],
            validate(
                snakemake.params.truth,
                tables.read("scores", snakemake.input.scores),
                pa.concat_tables([tables.read("ceiling", path) for path in snakemake.input.ceiling]),
                tables.read("law_points", snakemake.input.points),
                tables.read("laws", snakemake.input.law),
                [read_json(path) for path in snakemake.input.cards],
                level=snakemake.params.interval,
            ),
        )
