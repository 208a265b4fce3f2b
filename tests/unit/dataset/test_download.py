"""Downloads from a server that misbehaves in every way: recovered, or one clear line; never a wrong file."""

import errno
import hashlib
import http.server
import json
import os
import random
import threading
from time import sleep

import pytest

from voxscale.dataset import disk
from voxscale.dataset import download as module
from voxscale.dataset.download import download_files
from voxscale.dataset.manifest import PublishedFile
from voxscale.errors import UserError

SIZE = 50_000
CONTENT = {f"derivative/a[b]/{name}.hf5": random.Random(name).randbytes(SIZE) for name in "abc"}
PATHS = list(CONTENT)
FIRST = PATHS[0]


class Server:
    """Serves CONTENT on 127.0.0.1; plays `faults` one by one on the first file, then behaves."""

    def __init__(self):
        outer = self
        self.faults, self.asked, self.ranges, self.lock = [], [], [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                from urllib.parse import unquote

                path = unquote(self.path).removeprefix("/data/")
                with outer.lock:
                    outer.asked.append(path)
                    fault = outer.faults.pop(0) if path == FIRST and outer.faults else None
                    if path == FIRST:
                        outer.ranges.append(self.headers.get("Range"))
                outer.answer(self, path, fault)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/data"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request, path, fault):
        if isinstance(fault, int):
            request.send_error(fault)
            return
        body, first = CONTENT[path], 0
        if isinstance(fault, bytes):
            body = fault
        if fault == "flip":
            body = body[:100] + bytes([body[100] ^ 1]) + body[101:]
        asked = request.headers.get("Range")
        if asked and fault != "no ranges":
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            request.send_response(206)
            shown = first + 1 if fault == "other range" else first
            request.send_header("Content-Range", f"bytes {shown}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if fault != "silent end":
            request.send_header("Content-Length", str(len(body) - first))
        request.end_headers()
        body = body[first:]
        if fault in ("empty", "mute"):
            sleep(0.4 if fault == "mute" else 0)
            return
        if fault in ("drop", "silent end", "stall"):
            request.wfile.write(body[: len(body) // 2])
            request.wfile.flush()
            if fault == "stall":
                sleep(0.4)
            return
        request.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 10)
    server = Server()
    yield server
    server.close()


def files(paths=PATHS):
    return [PublishedFile(path, len(CONTENT[path]), hashlib.md5(CONTENT[path]).hexdigest()) for path in paths]


def run(server, folder, paths=PATHS, **options):
    download_files(
        files(paths), folder / "data", server.url, folder / "marks/UTS01.json", 2, 3, 0.2, **options
    )


def right(folder, paths=PATHS):
    """Whether exactly the files of `paths` exist, complete, with no other files."""
    found = {
        path.relative_to(folder / "data").as_posix(): path.read_bytes()
        for path in (folder / "data").rglob("*")
        if path.is_file()
    }
    return found == {path: CONTENT[path] for path in paths}


def test_all_files_arrive_and_are_marked(server, tmp_path, capsys):
    run(server, tmp_path)
    assert right(tmp_path)
    mark = json.loads((tmp_path / "marks/UTS01.json").read_text())
    assert mark["files"] == {remote.path: [remote.size, remote.md5] for remote in files()}
    assert "UTS01: 3 files, 0.00 GB; to download 3 files" in capsys.readouterr().err


def test_only_the_files_asked_for_are_fetched(server, tmp_path):
    run(server, tmp_path, PATHS[1:2])
    assert server.asked == PATHS[1:2]
    assert right(tmp_path, PATHS[1:2])


def test_a_complete_copy_is_used_in_place(server, tmp_path):
    run(server, tmp_path)
    server.asked.clear()
    run(server, tmp_path)
    assert server.asked == []
    assert (tmp_path / "marks/UTS01.json").exists()


@pytest.mark.parametrize(
    "faults",
    [
        ["drop"],
        ["silent end"],
        ["stall"],
        ["empty"],
        [500],
        [503, 503, 503],
        [429],
        ["flip"],
        ["drop", "no ranges"],
        ["drop", "other range"],
        ["drop", 416],
        ["drop"] * 6,  # more than the retries, but each brings bytes
        ["flip", "drop", 500],
    ],
    ids=str,
)
def test_a_passing_fault_is_recovered(server, tmp_path, faults):
    server.faults = list(faults)
    run(server, tmp_path)
    assert server.faults == [], "the fault was met"
    assert right(tmp_path)


def test_a_broken_download_goes_on_at_its_last_byte(server, tmp_path):
    server.faults = ["drop"]
    run(server, tmp_path)
    assert server.ranges == [None, f"bytes={SIZE // 2}-"]


def test_a_later_call_goes_on_where_the_last_broke_off(server, tmp_path):
    server.faults = ["drop", *[500] * 4]
    with pytest.raises(UserError, match="HTTP 500; run again to continue"):
        run(server, tmp_path, [FIRST])
    assert not (tmp_path / "data" / FIRST).exists()
    server.ranges.clear()
    run(server, tmp_path, [FIRST])
    assert server.ranges == [f"bytes={SIZE // 2}-"]
    assert right(tmp_path, [FIRST])


HTML = b"<html><body>Please log in</body></html>"
POINTER = b"/annex/objects/MD5E-s50000--d41d8cd98f00b204e9800998ecf8427e.hf5\n"


@pytest.mark.parametrize(
    ("faults", "line"),
    [
        ([404], r"a%5Bb%5D/a.hf5: the server does not have it \(HTTP 404\); check config key dataset.url"),
        ([403], r"the server refuses it \(HTTP 403\)"),
        ([HTML], f"a web page of {len(HTML)} bytes, the manifest says {SIZE}"),
        ([POINTER], f"a git-annex pointer of {len(POINTER)} bytes"),
        ([b"x" * (SIZE + 1)], f"a file of {SIZE + 1} bytes, the manifest says {SIZE}"),
        (["flip"] * 4, "arrived with another md5 each time"),
        ([b"<html>" + b"x" * (SIZE - 6)] * 4, "arrived with another md5 each time"),
    ],
    ids=["404", "403", "web page", "git-annex", "too long", "corrupt", "web page of the right size"],
)
def test_a_wrong_file_is_reported_and_the_others_still_come(server, tmp_path, faults, line):
    server.faults = list(faults)
    with pytest.raises(UserError, match=line) as error:
        run(server, tmp_path)
    assert "\n" not in str(error.value)
    assert right(tmp_path, PATHS[1:])
    assert not (tmp_path / "marks").exists()


@pytest.mark.parametrize(
    ("faults", "line"),
    [
        ([500] * 9, "the server answers HTTP 500"),
        (["empty"] * 9, "connection fails"),
        (["mute"] * 9, "the server stopped sending"),
    ],
    ids=str,
)
def test_a_lasting_fault_of_the_server_ends_in_one_line(server, tmp_path, faults, line):
    server.faults = list(faults)
    with pytest.raises(UserError, match=line):
        run(server, tmp_path, [FIRST])
    assert not (tmp_path / "data" / FIRST).exists()
    assert not (tmp_path / "marks").exists()


def test_no_server_at_all(server, tmp_path):
    server.close()
    with pytest.raises(UserError, match="the connection fails"):
        run(server, tmp_path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "an empty file"),
        (HTML, "an HTML page"),
        (POINTER, "git-annex pointer, not the content; run `datalad get`"),
        (CONTENT[FIRST][:-1], f"has {SIZE - 1} bytes, the manifest says {SIZE}"),
        (CONTENT[FIRST][:-1] + b"?", "its md5 differs"),
    ],
)
def test_a_bad_copy_on_disk_is_named_and_never_overwritten(server, tmp_path, content, line):
    path = tmp_path / "data" / FIRST
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match=line) as error:
        run(server, tmp_path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == content


def test_a_datalad_clone_without_content_is_named(server, tmp_path):
    path = tmp_path / "data" / FIRST
    path.parent.mkdir(parents=True)
    path.symlink_to("../../.git/annex/objects/MD5E-s50000--d4")
    with pytest.raises(UserError, match="git-annex link without its content; run `datalad get`"):
        run(server, tmp_path)


def test_a_full_disk_is_reported_before_the_first_byte(server, tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError, match=r"are free; free some, or point config key dataset.root elsewhere"):
        run(server, tmp_path)
    assert server.asked == []


def test_a_read_only_copy_that_lacks_a_file_is_one_line(server, tmp_path, monkeypatch):
    run(server, tmp_path)
    (tmp_path / "data" / FIRST).unlink()

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / "data/derivative"))

    monkeypatch.setattr(module.Path, "mkdir", refuse)
    with pytest.raises(
        UserError, match=r"derivative: cannot be written \(Read-only file system\); point con"
    ):
        run(server, tmp_path)
