"""The table of a dataset's known defects: which stories of which subjects are damaged, and left out."""

from collections.abc import Mapping
from pathlib import Path

from voxscale.errors import UserError
from voxscale.io import read_rows

_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


def read_defects(table: str | None, published: Path | None, kind: str) -> list[dict[str, str]]:
    """Rows of a table of defects: subject (or `*`), story (or `*`), what, exclude (yes or no).

    Args:
        table: config key `dataset.defects`: a file, `published`, or nothing.
        published: the table that was published for datasets of this kind.

    Raises:
        UserError: the table is missing or malformed.
    """
    if not table:
        return []
    path = published if table == "published" else table
    if path is None:
        raise UserError(
            f"config key dataset.defects: no table was published for {kind}; give a file of your own"
        )
    rows = read_rows(path, ("subject", "story", "what", "exclude"))
    for number, row in enumerate(rows, start=2):
        if row["exclude"].lower() not in _YES + _NO:
            raise UserError(f"{path}: line {number}: exclude is {row['exclude']!r}; write yes or no")
    return rows


def leaves_out(defect: Mapping[str, str]) -> bool:
    """Whether a row of the table says that its story is not used."""
    return defect["exclude"].lower() in _YES
