"""Compare what the workflow found with the phantom's truth."""

from collections.abc import Sequence

import pyarrow as pa

from voxscale.io import read_json, tables, write_json
from voxscale.phantom import validate_phantom
from voxscale.script import script


def whole(name: str, paths: Sequence[str]) -> pa.Table | None:
    """A table of all subjects; None without files."""
    parts = [tables.read(name, path) for path in paths]
    return pa.concat_tables(parts) if parts else None


if "snakemake" in globals():
    with script(snakemake):
        write_json(
            snakemake.output[0],
            validate_phantom(
                snakemake.params.truth,
                tables.read("scores", snakemake.input.scores),
                whole("ceiling", snakemake.input.ceiling),
                tables.read("law_points", snakemake.input.points),
                tables.read("laws", snakemake.input.law),
                [read_json(path) for path in snakemake.input.cards],
                level=snakemake.params.interval,
                stacking=whole("stacking", snakemake.input.stacking),
                weights=whole("stacking_weights", snakemake.input.weights),
                layers=whole("layers", snakemake.input.layers),
            ),
        )
