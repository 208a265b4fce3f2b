"""Every table has one schema, with a unit and a meaning for each column, checked when it is written."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.errors import UserError
from voxscale.io.files import atomic
from voxscale.io.origin import AGAIN, origin_of, reading, require_origin
from voxscale.io.schemas import SCHEMAS

_BLANK = b"0" * 32  # where the digest of a file's list of contents is put, of which it is a part


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
    with writer(name, path, provenance) as file:
        file.write_table(table, row_group_size=1 << 20)


@contextlib.contextmanager
def writer(
    name: str, path: str | Path, provenance: Mapping[str, Any] | None = None
) -> Iterator[pq.ParquetWriter]:
    """A new file of table `name`, written part by part, which appears whole or not at all.

    Its pages have checksums, and its list of contents a digest.
    """
    about = {"table": name, "provenance": json.dumps(dict(provenance or {}), sort_keys=True)}
    schema = SCHEMAS[name].with_metadata(about | {"origin": origin_of(path)})
    with atomic(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as file:
            yield file
            file.add_key_value_metadata({"digest": _BLANK.decode()})
        with temporary.open("r+b") as raw:
            contents = _contents(raw)
            raw.seek(-8 - len(contents) + contents.index(_BLANK), os.SEEK_END)
            raw.write(_digest(contents))


def _contents(raw: BinaryIO) -> bytes:
    """A Parquet file's list of contents, which is at its end, in front of its length and four letters."""
    size = raw.seek(-8, os.SEEK_END) + 8
    length = int.from_bytes(raw.read(4), "little")
    raw.seek(max(0, size - 8 - length))
    return raw.read(length)


def _digest(contents: bytes) -> bytes:
    return hashlib.blake2b(contents, digest_size=len(_BLANK) // 2).hexdigest().encode()


@contextlib.contextmanager
def open_table(path: str | Path, missing: str = "run again") -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of the workflow; errors of reading inside the block are errors of the file."""
    with reading(path, missing=missing):
        with Path(path).open("rb") as raw:
            contents = _contents(raw)
        file = pq.ParquetFile(path, page_checksum_verification=True)
        about = file.metadata.metadata or {}
        digest = about.get(b"digest")  # absent in files of older versions
        if digest and digest != _digest(contents.replace(digest, _BLANK)):
            raise ValueError("its list of contents has changed")
        require_origin(path, about.get(b"origin"))
        yield file


def read(name: str, path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file that must be a whole table `name`.

    Raises:
        UserError: the file is missing, damaged, another table, or was made for another place.
    """
    with open_table(path, f"run the rule that makes table {name}") as file:
        table = file.read(columns=columns)
    if lacking := sorted(set(columns or SCHEMAS[name].names) - set(table.column_names)):
        raise UserError(f"{path}: is not table {name} (lacks {lacking}); {AGAIN}")
    return table


def provenance(path: str | Path) -> dict[str, Any]:
    """Provenance that `write` kept in a file's metadata."""
    return json.loads((pq.read_schema(path).metadata or {}).get(b"provenance", b"{}"))
