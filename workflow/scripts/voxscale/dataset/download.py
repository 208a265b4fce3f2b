"""Download published files: in parallel, resumed after a break, accepted only with the right digest.

pooch retries, checks the digest and moves each file into place; what it lacks is resuming, so it gets a
downloader that keeps `.<name>.part` next to the target and continues at its end.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pooch
import requests
from tqdm import tqdm

from voxscale.dataset.disk import announce_writing
from voxscale.dataset.manifest import PublishedFile
from voxscale.errors import UserError
from voxscale.io import require, write_json

_CHUNK_BYTES = 1 << 16  # what a broken connection may lose
_GONE = {401: "refuses it", 403: "refuses it", 404: "does not have it", 410: "does not have it any more"}


class _Stopped(Exception):
    """Another file failed in a way that concerns all of them."""


class _Fetcher:
    """Downloads files from one server; what concerns all of them stops all."""

    def __init__(
        self,
        files: Sequence[PublishedFile],
        root: Path,
        url: str,
        retries: int,
        timeout_s: float,
        meter: tqdm,
    ) -> None:
        pooch.get_logger().setLevel("WARNING")
        base = url.rstrip("/") + "/"
        self._pooch = pooch.create(
            path=root,
            base_url=base,
            registry={remote.path: f"md5:{remote.md5}" for remote in files},
            urls={remote.path: base + quote(remote.path) for remote in files},
            retry_if_failed=retries,
        )
        self._root, self._timeout_s, self._meter, self.stop = root, timeout_s, meter, threading.Event()

    def fetch(self, remote: PublishedFile) -> UserError | None:
        """Fetch or check one file; an error is returned, so that the other files still come."""
        path = self._root / remote.path
        if self.stop.is_set():
            return None
        try:
            if path.exists() or path.is_symlink():
                _check(path, remote)
                self._meter.update(remote.size)
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            self._meter.update(_size(part))
            self._pooch.fetch(remote.path, downloader=partial(self._download, remote, part))
        except UserError as error:
            return error
        except _Stopped:
            return None
        except requests.RequestException as error:
            self.stop.set()
            return UserError(f"{self._pooch.get_url(remote.path)}: {_reason(error)}; run again to continue")
        except ValueError:
            return UserError(f"{path}: arrived with another md5 each time; try later or another dataset.url")
        except OSError as error:  # no permission, a read-only disk, a full one
            self.stop.set()
            return UserError(
                f"{error.filename or path}: cannot be written ({error.strerror or error}); "
                "point config key dataset.root elsewhere"
            )
        return None

    def _download(self, remote: PublishedFile, part: Path, url: str, output_file: str, _: Any) -> None:
        """Download one file, from where the last attempt broke off; pooch calls it once an attempt."""
        if _size(part) > remote.size:
            part.unlink()
        while (held := _size(part)) < remote.size:
            try:
                self._go_on(remote, part, url, held)
            except requests.RequestException:
                # As long as bytes arrive, a broken connection costs no attempt.
                if _size(part) <= held:
                    raise
        part.replace(output_file)

    def _go_on(self, remote: PublishedFile, part: Path, url: str, held: int) -> None:
        # Identity: a compressed answer has other bytes and another length than the manifest's file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
        with requests.get(url, headers=headers, stream=True, timeout=self._timeout_s) as answer:
            if answer.status_code in _GONE:
                raise UserError(
                    f"{url}: the server {_GONE[answer.status_code]} (HTTP {answer.status_code}); "
                    "check config key dataset.url and the network's access"
                )
            if answer.status_code == 416:  # the part is not of this file
                part.unlink()
            answer.raise_for_status()
            resumed = answer.status_code == 206
            where = ("Content-Range", r"/(\d+)$") if resumed else ("Content-Length", r"^(\d+)$")
            total = _stated(answer, *where)
            if total is not None and total != remote.size:
                start = next(answer.iter_content(512), b"")
                raise UserError(
                    f"{url}: the server sends {_describe(start)}of {total} bytes, the manifest says "
                    f"{remote.size}; check config key dataset.url"
                )
            if resumed and _stated(answer, "Content-Range", r"^bytes (\d+)-") != held:
                raise requests.ConnectionError("the server resumed at another byte")
            with part.open("ab" if resumed else "wb") as file:
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    if self.stop.is_set():
                        raise _Stopped
                    file.write(chunk)
                    self._meter.update(len(chunk))
        if _size(part) == held:
            raise requests.ConnectionError("the server sent nothing")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _stated(answer: requests.Response, header: str, pattern: str) -> int | None:
    """A number that the server states in a header."""
    found = re.search(pattern, answer.headers.get(header, ""))
    return int(found[1]) if found else None


def _describe(start: bytes) -> str:
    if b"annex/objects" in start:
        return "a git-annex pointer "
    return "a web page " if b"<html" in start.lower() else "a file "


def _check(path: Path, remote: PublishedFile) -> None:
    """Look at a file that was there already; it may be the user's own, so it is never overwritten."""
    require(path, "published")
    if (size := path.stat().st_size) != remote.size:
        raise UserError(
            f"{path}: has {size} bytes, the manifest says {remote.size}; move it away and run again"
        )
    if pooch.file_hash(str(path), alg="md5") != remote.md5:
        raise UserError(f"{path}: is not the published file (its md5 differs); move it away and run again")


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answers HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server stopped sending"
    return "the connection fails"


def download_files(
    files: Iterable[Sequence[Any]],
    root: str | Path,
    url: str,
    mark: str | Path,
    jobs: int = 4,
    retries: int = 5,
    timeout_s: float = 60.0,
) -> None:
    """Make sure that published files lie under `root`, whole and unaltered, then write `mark`.

    Existing files are checked and used. An interrupted download continues at its last byte, also
    in a later call; a server that fails is asked again with growing waits.

    Args:
        files: (path in the dataset, bytes, md5) of each file; see `PublishedFile`.
        root: folder of the dataset.
        url: where the dataset is published; paths are appended.
        mark: JSON file to write when all files are right.
        jobs: files at a time.
        retries: further attempts for a file that brings no new byte or a wrong digest.
        timeout_s: seconds without a byte after which a connection counts as broken.

    Raises:
        UserError: a file is not published, refused, wrong, or the server cannot be reached; all others were
            downloaded unless the server itself fails.
    """
    wanted, root = [PublishedFile(*row) for row in files], Path(root)
    missing = [remote for remote in wanted if not (root / remote.path).exists()]
    what, total = Path(mark).stem, sum(remote.size for remote in wanted)
    announce_writing(
        f"{what}: {len(wanted)} files, {total / 1e9:.2f} GB; to download {len(missing)} files",
        sum(remote.size for remote in missing),
        root,
        "point config key dataset.root elsewhere, or use fewer subjects or stories",
    )
    with (
        tqdm(desc=what, total=total, unit="B", unit_scale=True, delay=2, mininterval=2, leave=False) as meter,
        ThreadPoolExecutor(jobs) as pool,
    ):
        fetcher = _Fetcher(wanted, root, url, retries, timeout_s, meter)
        try:
            errors = [error for error in pool.map(fetcher.fetch, wanted) if error]
        except BaseException:
            fetcher.stop.set()
            raise
    if errors:
        more = f" (and {len(errors) - 1} more files)" if len(errors) > 1 else ""
        raise UserError(f"{errors[0]}{more}")
    content = {remote.path: [remote.size, remote.md5] for remote in wanted}
    write_json(mark, {"files": content, "root": str(root), "url": url})
