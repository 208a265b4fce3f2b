"""The schema of every table, read from `tables.tsv`: columns, types, units, meanings, what may be empty."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

import pyarrow as pa


def _read_schemas(path: Path) -> dict[str, pa.Schema]:
    """Schemas by table; columns in the file's order, each with its unit and meaning as metadata."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        table: pa.schema(
            [
                pa.field(
                    row["column"],
                    pa.type_for_alias(row["type"]),
                    nullable=row["empty"] == "yes",
                    metadata={"unit": row["unit"], "description": row["meaning"]},
                )
                for row in columns
            ]
        )
        for table, columns in groupby(rows, key=lambda row: row["table"])
    }


SCHEMAS: dict[str, pa.Schema] = _read_schemas(Path(__file__).with_name("tables.tsv"))
