"""Tab-separated tables as people and programs write them."""

import csv
import io
import re
from pathlib import Path

from voxscale.errors import UserError
from voxscale.io.placeholders import require

# A cell in quotation marks; one inside it is doubled (pandas, readr) or behind a backslash (R's write.table).
_QUOTED = re.compile(r'"((?:[^"\\]|""|\\.)*)"')
_SAVE = "write every word in quotation marks, or none (pandas: quoting=csv.QUOTE_NONE, R: quote=FALSE)"


def read_rows(path: str | Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a tab-separated table that must have `columns`.

    A quotation mark is a character like any other, since words may contain it, but where the table itself
    shows that a program put its cells in quotation marks.

    Raises:
        UserError: the file is missing, not text, lacks a column or has ragged rows, or its quotation marks
            could be meant in two ways.
    """
    path = require(path, "tab-separated table")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = _split(text, csv.QUOTE_NONE)
        if '"' in text:
            rows = _split(text, csv.QUOTE_MINIMAL) if _has_breaks(text, rows) else _unquote(path, rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a tab-separated table ({error}); save it as UTF-8 text") from None
    if "\0" in text:
        raise UserError(f"{path}: holds zero bytes; save it as UTF-8 text")
    header = rows[0] if rows else []
    if missing := [column for column in columns if column not in header]:
        raise UserError(
            f"{path}: lacks column {missing[0]}; its header must name {', '.join(columns)} with tabs "
            f"between, and is {' | '.join(header)[:100]}"
        )
    if doubles := [column for column in columns if header.count(column) > 1]:
        raise UserError(f"{path}: has two columns {doubles[0]}; give one of them another name")
    for number, row in enumerate(rows, start=1):
        if len(row) == len(header) + 1 and all(len(other) == len(row) for other in rows[1:]):
            raise UserError(
                f"{path}: its lines have one cell more than its header, as R's row names; "
                "write it with row.names=FALSE"
            )
        if len(row) != len(header):
            raise UserError(
                f"{path}: line {number} has {len(row)} cells, the header has {len(header)}; fix it"
            )
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def decimal_hint(number: str) -> str:
    """What to add to a message about a number that a program wrote with a decimal comma."""
    return ", with a decimal point, not a comma" if re.fullmatch(r"\s*-?\d+,\d+\s*", number) else ""


def _split(text: str, quoting: int) -> list[list[str]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=quoting, strict=True)
    return [row for row in lines if row]


def _has_breaks(text: str, rows: list[list[str]]) -> bool:
    """Whether the table is only a table if quotation marks enclose the tabs and line breaks of its cells."""
    if len({len(row) for row in rows}) == 1:
        return False
    try:
        quoted = _split(text, csv.QUOTE_MINIMAL)
    except csv.Error:
        return False
    # A cell with both has swallowed whole lines between two marks that belong to words.
    swallowed = any("\t" in cell and "\n" in cell for row in quoted for cell in row)
    return len({len(row) for row in quoted}) == 1 and not swallowed


def _unquote(path: Path, rows: list[list[str]]) -> list[list[str]]:
    """The same cells without the quotation marks that a program put around them, if one did."""
    marked = {cell: number for number, row in enumerate(rows, 1) for cell in row if '"' in cell}
    inside = {cell: match[1] for cell in marked if (match := _QUOTED.fullmatch(cell))}
    # Only a program doubles the marks inside a word, or puts the header in marks too.
    doubled = [cell for cell in inside if '"' in inside[cell]]
    headings = [cell for cell in rows[0] if cell in inside]
    lone = [cell for cell in marked if cell not in inside]
    if by_program := doubled or headings:
        if lone:
            raise UserError(
                f"{path}: line {marked[by_program[0]]} has {by_program[0]}, as a program quotes it, "
                f"line {marked[lone[0]]} {lone[0]}, as a person does; {_SAVE}"
            )
        unquoted = {cell: re.sub(r'""|\\"', '"', word) for cell, word in inside.items()}
        return [[unquoted.get(cell, cell) for cell in row] for row in rows]
    # Excel puts only the cells with a comma in marks, and all of them.
    commas = {cell for row in rows for cell in row if "," in cell}
    if commas and commas == set(marked):
        cell = next(iter(marked))
        raise UserError(f"{path}: line {marked[cell]}: do the marks of {cell} belong to the word? {_SAVE}")
    return rows
