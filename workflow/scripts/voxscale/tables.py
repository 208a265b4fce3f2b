"""Every table has one schema, with a unit and a meaning for each column, checked when it is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxscale.errors import UserError
from voxscale.io import atomic


def _column(name: str, kind: pa.DataType, unit: str, description: str, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"unit": unit, "description": description})


MODEL = _column("model", pa.string(), "name", "model slug of config/models.yaml")
LAYER = _column("layer", pa.int32(), "index", "layer; 0 is the embedding output")
SUBJECT = _column("subject", pa.string(), "name", "subject as the dataset names it")
N_TRAIN = _column("n_train", pa.int32(), "stories", "training stories")
DRAW = _column("draw", pa.int32(), "index", "nested random draw of the training stories")
VOXEL = _column("voxel", pa.int32(), "index", "voxel: column of the dataset's response files")
STORY = _column("story", pa.string(), "name", "story as the dataset names it")

SCHEMAS: dict[str, pa.Schema] = {
    "words": pa.schema(
        [
            STORY,
            _column("index", pa.int32(), "index", "position of the word in its story"),
            _column("word", pa.string(), "text", "the word as transcribed"),
            _column("onset_s", pa.float64(), "s", "start of the word after the start of the sound"),
            _column("offset_s", pa.float64(), "s", "end of the word after the start of the sound"),
        ]
    ),
    "phones": pa.schema(
        [
            STORY,
            _column("index", pa.int32(), "index", "position of the phone in its story"),
            _column("phone", pa.string(), "text", "the phone as transcribed"),
            _column("onset_s", pa.float64(), "s", "start of the phone after the start of the sound"),
            _column("offset_s", pa.float64(), "s", "end of the phone after the start of the sound"),
        ]
    ),
    "clock": pa.schema(
        [
            STORY,
            _column("row", pa.int32(), "TR", "row of the stimulus clock, and of the features"),
            _column("onset_s", pa.float64(), "s", "start of the TR after the start of the sound"),
            _column("mid_s", pa.float64(), "s", "middle of the TR, where features are sampled"),
            _column("in_response", pa.bool_(), "flag", "whether the responses keep this TR"),
        ]
    ),
    "subjects": pa.schema(
        [
            SUBJECT,
            STORY,
            _column("role", pa.string(), "name", "train or test"),
            _column("n_tr", pa.int32(), "TR", "response TRs"),
            _column("hours", pa.float64(), "h", "response TRs in hours"),
            _column("n_words", pa.int32(), "words", "words in the story"),
            _column("stimulus_sha", pa.string(), "hash", "digest of the words and clock of the story"),
        ]
    ),
    "scores": pa.schema(
        [
            MODEL,
            LAYER,
            SUBJECT,
            N_TRAIN,
            DRAW,
            VOXEL,
            _column(
                "r", pa.float32(), "correlation", "test correlation without the first seconds; NaN: none"
            ),
            _column("r_uncut", pa.float32(), "correlation", "test correlation over all test TRs"),
            _column("cv_r", pa.float32(), "correlation", "mean held-out correlation at the chosen alpha"),
            _column("alpha", pa.float32(), "1", "chosen ridge alpha (lambda = alpha squared)"),
            _column("alpha_edge", pa.bool_(), "flag", "alpha is the smallest or the largest of its grid"),
            _column("p", pa.float32(), "probability", "block permutation p of r; NaN: not tested"),
            _column("train_trs", pa.int32(), "TR", "training TRs of this draw"),
            _column("train_hours", pa.float32(), "h", "training hours of this draw"),
            _column("n_features", pa.int32(), "features", "features times delays"),
        ]
    ),
}


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
        pq.write_table(table, temporary, compression="zstd", row_group_size=1 << 20)


def read(name: str, path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file that must be a whole table `name`.

    Raises:
        UserError: the file is missing, truncated, or another table.
    """
    try:
        table = pq.ParquetFile(path).read(columns=columns)
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
