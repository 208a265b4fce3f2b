"""Files appear whole or not at all, whoever is killed meanwhile and however many write the same one."""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.io.origin import AGAIN, origin_of, place_of, reading, require_origin
from voxscale.provenance import sha256_file as sha256_file

_ABOUT = "voxscale"  # key of a JSON file's digest and origin


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on success it is renamed to `path`, on failure removed.

    Two writers of one file have different temporary names; the last rename wins, with a complete file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, since some writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if path.is_dir():
            raise UserError(f"{path}: is a folder where a file must be written; move it away and run again")
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)  # most writers name no file, and nobody knows the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Make sure that files can be written in a folder, or in the parent of one that does not exist yet.

    Raises:
        UserError: a file or a dangling link has its name, or it is not writable.
    """
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        what = f"no file can be written in it ({error.strerror})"
        raise UserError(f"{folder.absolute()}: {what}; it must be a writable folder") from None


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON; under `results` with a digest of it and with its place."""
    about = {_ABOUT: {"origin": origin_of(path), "digest": _digest(content)}} if place_of(path) else {}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps({**content, **about}, indent=1, allow_nan=False) + "\n")


def _digest(content: Any) -> str:
    return sha256_text(json.dumps(content, sort_keys=True))[:32]


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        UserError: as for `read_json_whole`.
    """
    return read_json_whole(path)[0]


def read_json_whole(path: str | Path) -> tuple[Any, str | None]:
    """Content of a JSON file, and the origin that `write_json` gave it.

    Raises:
        UserError: the file is missing or is not JSON; or, written by `write_json`, has changed since then or
            was made for another place.
    """
    own = ("correct it", "check the path", "not readable as JSON")
    with reading(path) if place_of(path) else reading(path, *own):
        content = json.loads(Path(path).read_text("utf-8-sig"))
        name, about = list(content.items())[-1] if content and isinstance(content, dict) else ("", None)
        # Also if the damage is in the name.
        if name == _ABOUT or (isinstance(about, dict) and about.keys() == {"origin", "digest"}):
            del content[name]
            if about["digest"] != _digest(content):
                raise ValueError("it has changed since it was written")
            require_origin(path, about["origin"])
            return content, about["origin"]
    return content, None


def write_page(path: str | Path, page: str) -> None:
    """Write an HTML page with a last line that holds its digest and its place."""
    _write_page(path, page, origin_of(path))


def _write_page(path: str | Path, page: str, origin: str, times: tuple[int, int] | None = None) -> None:
    about = json.dumps({"origin": origin, "digest": sha256_text(page)})
    with atomic(path) as temporary:
        temporary.write_text(f"{page}\n<!-- {about} -->\n")
        if times:
            os.utime(temporary, ns=times)


_MARK = '<p role="alert" style="margin:0;padding:1em;background:#b22222;color:#fff">'


def mark_page(path: str | Path, text: str) -> None:
    """Put a line above a page that `write_page` wrote; otherwise the file, and its time, stay as they are.

    A page that is missing, damaged or marked stays as it is.
    """
    with contextlib.suppress(OSError, UserError, ValueError):
        if not is_marked(path):
            origin, page = read_page(path), Path(path).read_text().rpartition("\n<!-- ")[0]
            about = Path(path).stat()
            page = page.replace("<body>", f"<body>\n{_MARK}{html.escape(text)}</p>", 1)
            _write_page(path, page, origin, (about.st_atime_ns, about.st_mtime_ns))


def is_marked(path: str | Path) -> bool:
    """Whether `mark_page` has put a line above a page."""
    return Path(path).is_file() and _MARK in Path(path).read_text(errors="replace")


def read_page(path: str | Path) -> str:
    """The origin of a page that `write_page` wrote.

    Raises:
        UserError: it has changed since then, `write_page` did not write it, or it was made for another place.
    """
    page, _, about = Path(path).read_text().rpartition("\n<!-- ")
    said = json.loads(about.removesuffix(" -->\n")) if about.startswith("{") else {}
    if said.get("digest") != sha256_text(page):
        raise UserError(f"{path}: has changed since it was written; {AGAIN}")
    require_origin(path, said["origin"])
    return said["origin"]


def sha256_text(text: str) -> str:
    """Hex digest of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
