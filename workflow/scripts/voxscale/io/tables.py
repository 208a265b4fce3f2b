"""Every table has one schema, with a unit and a meaning for each column, checked when it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.errors import UserError
from voxscale.io.files import atomic
from voxscale.io.schemas import SCHEMAS


def _check(name: str, table: pa.Table, where: str) -> None:
    for field in table.schema:
        if not field.nullable and table[field.name].null_count:
            raise UserError(f"{where}: column {field.name} of table {name} has empty values; fill them")


def write(
    name: str,
    columns: pa.Table | Mapping[str, Any] | Iterable[Mapping[str, Any]],
    path: str | Path,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Cast `columns` to the schema `name`, check it, and write it as Parquet with its provenance.

    Args:
        columns: a table, a mapping of columns, or rows; columns in any order, none missing, none extra.

    Raises:
        UserError: a column is missing, unknown, of another type, or has empty values where none may be.
    """
    schema = SCHEMAS[name]
    if not isinstance(columns, pa.Table):
        columns = (
            pa.table(dict(columns))
            if isinstance(columns, Mapping)
            else pa.Table.from_pylist(list(columns), schema)
        )
    missing = set(schema.names) ^ set(columns.column_names)
    if missing:
        raise UserError(
            f"{path}: table {name} has missing or unknown columns {sorted(missing)}; see its schema"
        )
    try:
        table = columns.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise UserError(f"{path}: table {name} does not fit its schema ({error}); see its schema") from None
    _check(name, table, str(path))
    table = table.replace_schema_metadata(
        {"table": name, "provenance": json.dumps(provenance or {}, sort_keys=True)}
    )
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=1 << 20, write_page_checksum=True)


def read(name: str, path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file that must be a whole table `name`.

    Raises:
        UserError: the file is missing, truncated, or another table.
    """
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read(columns=columns)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes table {name}") from None
    except (pa.ArrowInvalid, OSError) as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path}: not a whole Parquet file ({detail}); delete it and run again") from None
    expected = set(columns or SCHEMAS[name].names)
    if not expected <= set(table.column_names):
        raise UserError(
            f"{path}: is not table {name} (lacks {sorted(expected - set(table.column_names))}); delete it"
        )
    return table


def provenance(path: str | Path) -> dict[str, Any]:
    """Provenance that `write` kept in a file's metadata."""
    return json.loads((pq.read_schema(path).metadata or {}).get(b"provenance", b"{}"))
