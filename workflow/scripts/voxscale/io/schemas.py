"""The schema of every table, read from `tables.md`: columns, types, units, meanings, what may be empty."""

import re
from pathlib import Path

import pyarrow as pa


def _field(column: str, kind: str, unit: str, meaning: str) -> pa.Field:
    metadata = {"unit": unit, "description": meaning}
    return pa.field(column, pa.type_for_alias(kind.rstrip("?")), kind.endswith("?"), metadata)


def _read_schemas(page: Path) -> dict[str, pa.Schema]:
    """Schemas by table; columns in the page's order, each with its unit and meaning as metadata."""
    schemas = {}
    for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        name, *lines = section.splitlines()
        rows = [line for line in lines if line.startswith("| ")][2:]  # without header and rule
        cells = [re.split(r" (?<!\\)\| ", row[2:-2]) for row in rows]
        schemas[name] = pa.schema([_field(*(cell.replace(r"\|", "|") for cell in row)) for row in cells])
    return schemas


SCHEMAS: dict[str, pa.Schema] = _read_schemas(Path(__file__).with_name("tables.md"))
