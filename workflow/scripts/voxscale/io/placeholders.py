"""Recognise files that are not data: git-annex stubs, error pages, truncated files."""

from __future__ import annotations

from pathlib import Path

from voxscale.errors import UserError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def what_is_it(path: str | Path) -> str | None:
    """Say what a file is if it is something that is often taken for data, else None.

    Recognised: a dangling link, a folder, an empty file, a git-annex or git-lfs pointer, an HTML page, an XML
    error of an object store.
    """
    path = Path(path)
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        return "a git-annex link without its content" if ".git/annex" in target else "a dangling link"
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"annex/objects/" in text and b"\n" not in text.rstrip():
        return "a git-annex pointer, not the content"
    if text.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the content"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if (text.startswith(b"<?xml") and b"<error>" in text) or text.startswith(b"<error>"):
        return "an XML error message of the server"
    return None


def require(path: str | Path, kind: str) -> Path:
    """Give `path` back if it is a file that may be data.

    Args:
        kind: what the file should be, for the message: "TextGrid", "HDF5 responses", ...

    Raises:
        UserError: the file does not exist, or is a stub, a page or a folder.
    """
    path = Path(path)
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path}: no such file; a {kind} file is needed")
    try:
        found = what_is_it(path)
    except PermissionError:
        raise UserError(f"{path}: cannot be read; give yourself read permission") from None
    if found is None:
        return path
    if "git-annex" in found:
        raise UserError(f"{path}: is {found}; run `datalad get` (or `git annex get`) on it")
    if "git-lfs" in found:
        raise UserError(f"{path}: is {found}; run `git lfs pull`")
    raise UserError(f"{path}: is {found}, not a {kind} file; delete it and fetch it again")
