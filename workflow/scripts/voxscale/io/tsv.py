"""Tab-separated tables as people write them."""

from __future__ import annotations

import csv
from pathlib import Path

from voxscale.errors import UserError
from voxscale.io.placeholders import require


def read_rows(path: str | Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a tab-separated table that must have `columns`.

    Cells are taken literally: a quotation mark is a character like any other, since words may contain it.

    Raises:
        UserError: the file is missing, not text, lacks a column or has ragged rows.
    """
    path = require(path, "tab-separated table")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a tab-separated table ({error}); save it as UTF-8 text") from None
    if missing := [column for column in columns if column not in (reader.fieldnames or [])]:
        raise UserError(
            f"{path}: lacks column {missing[0]}; its header must name {', '.join(columns)} with tabs"
        )
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            header = reader.fieldnames or []
            cells = len(header) + len(row.get(None) or []) - list(row.values()).count(None)
            raise UserError(f"{path}: line {number} has {cells} cells, the header has {len(header)}; fix it")
    return rows
