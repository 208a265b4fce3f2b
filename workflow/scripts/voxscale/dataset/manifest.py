"""The published files of a dataset: where each is, its size and its digest."""

from pathlib import Path
from typing import NamedTuple

from voxscale.errors import UserError
from voxscale.io import read_rows


class PublishedFile(NamedTuple):
    """A published file: path in the dataset, size in bytes, MD5 digest in hex."""

    path: str
    size: int
    md5: str


def read_manifest(path: str | Path) -> dict[str, PublishedFile]:
    """Published files by their path.

    Args:
        path: table with columns path, bytes, algorithm, digest.

    Raises:
        UserError: the table is missing or malformed.
    """
    files: dict[str, PublishedFile] = {}
    for number, row in enumerate(read_rows(path, ("path", "bytes", "algorithm", "digest")), start=2):
        where = f"{path}: line {number}"
        if row["algorithm"] != "md5" or not row["bytes"].isdigit() or len(row["digest"]) != 32:
            raise UserError(f"{where} has no size or no md5 digest; use the manifest as published")
        if Path(row["path"]).is_absolute() or ".." in Path(row["path"]).parts:
            raise UserError(f"{where} points outside the dataset; use the manifest as published")
        files[row["path"]] = PublishedFile(row["path"], int(row["bytes"]), row["digest"])
    return files
