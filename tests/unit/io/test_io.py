"""Files appear whole or not at all, and nothing is written where the work is done."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from voxscale.errors import UserError
from voxscale.io.files import atomic, read_json, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("old")

    def interrupted():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file_that_was_to_be_written(tmp_path):
    for error, named in ((OSError(28, "full"), "a.h5"), (OSError("HDF5: full"), None)):
        with pytest.raises(OSError, match="full") as raised, atomic(tmp_path / "a.h5"):
            raise error
        assert raised.value.filename == (named and str(tmp_path / named))
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_write_one_file_at_once_race_for_no_temporary_file(tmp_path, monkeypatch):
    """Two runs may fit the same cell; each has a temporary file of its own, none in the working directory."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    monkeypatch.chdir(here)
    texts = [letter * 100_000 for letter in "abcdefgh"]

    def write(text):
        for _ in range(20):
            with atomic(there / "cell.txt") as temporary:
                for start in range(0, len(text), 10_000):
                    with temporary.open("a") as file:
                        file.write(text[start : start + 10_000])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, texts))
    assert (there / "cell.txt").read_text() in texts
    assert [path.name for path in there.iterdir()] == ["cell.txt"]
    assert list(here.iterdir()) == []


def test_json_round_trips_and_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "card.json"
    write_json(path, {"model": "opt", "layers": [0, 1]})
    assert read_json(path) == {"model": "opt", "layers": [0, 1]}
    path.write_text(path.read_text()[:10])
    with pytest.raises(UserError, match=r"card\.json: not readable as JSON"):
        read_json(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "nan.json", {"r": float("nan")})
    assert not (tmp_path / "nan.json").exists()


def test_a_byte_order_mark_is_no_part_of_json(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"RepetitionTime": 1.5}')
    assert read_json(path) == {"RepetitionTime": 1.5}
