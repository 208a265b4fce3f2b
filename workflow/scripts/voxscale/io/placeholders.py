"""Recognise files that are not data: git-annex stubs, error pages, truncated files."""

import os
import struct
from pathlib import Path

from voxscale.errors import UserError

_SOUND_RATIO = 10_000  # samples in one byte on the disk: of silence, FLAC packs some thousands into one
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def what_is_it(path: str | Path) -> str | None:
    """Say what a file is if it is something that is often taken for data, else None.

    Recognised: a dangling link, a folder, a pipe, an empty file, a git-annex or git-lfs pointer, an HTML
    page, an XML error of an object store, a WAV file that was cut off.
    """
    path = Path(path)
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        return "a git-annex link without its content" if ".git/annex" in target else "a dangling link"
    if path.is_dir():
        return "a folder"
    if path.exists() and not path.is_file():
        return "a pipe or a device"
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
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        return _cut_wav(path)
    if (text.startswith(b"<?xml") and b"<error>" in text) or text.startswith(b"<error>"):
        return "an XML error message of the server"
    return None


def _cut_wav(path: Path) -> str | None:
    """Say so if a WAV file holds less sound than its header states, which libsndfile reads without a word."""
    size, bytes_per_s = path.stat().st_size, 0
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"fmt ":
                bytes_per_s = int.from_bytes(file.read(12)[8:], "little")
                file.seek(-12, os.SEEK_CUR)
            if name == b"data":
                held = size - file.tell()
                # A program that writes into a pipe knows no length, and states the largest that there is.
                if length >= 0x7FFF_F000 or held >= 0.999 * length or not bytes_per_s:
                    return None
                return (
                    f"a WAV file that was cut off: its header states {length / bytes_per_s:.1f} s of sound, "
                    f"it holds {held / bytes_per_s:.1f} s"
                )
            file.seek(length + length % 2, os.SEEK_CUR)
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
    if "cut off" in found:
        raise UserError(f"{path}: is {found}; get the whole file again")
    raise UserError(f"{path}: is {found}, not a {kind} file; put the right file there")


def require_sound_size(path: str | Path, frames: int, rate: float) -> None:
    """Refuse a sound whose header states more samples than its file can hold.

    Args:
        frames: samples of each channel that the header states.
        rate: Hz.

    Raises:
        UserError: they would be more than `_SOUND_RATIO` in a byte.
    """
    stored = Path(path).stat().st_size
    if frames > _SOUND_RATIO * stored:
        raise UserError(
            f"{path}: its header states {frames / rate:,.0f} s of sound, but the file has {stored:,} bytes; "
            "get it again"
        )
