"""How a script ends: a user's mistake in one line, our own with its traceback, all in the log."""

import errno
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from voxscale.errors import UserError, naming
from voxscale.script import script


def job_of(log):
    return SimpleNamespace(rule="fit", log=[log], threads=1, params=SimpleNamespace(digest=None))


@pytest.mark.parametrize(
    ("error", "said", "traceback"),
    [
        (UserError("a.tsv: no onset;\n add it"), "ERROR fit: a.tsv: no onset; add it\n", False),
        (OSError(errno.ENOSPC, "full", "results/x.h5"), "ERROR fit: results/x.h5: no space left", False),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            f"fit: results/ or {tempfile.gettempdir()}: no space left on the disk, or no inodes",
            False,
        ),
        (OSError(errno.EDQUOT, "full", "results/x.h5"), "results/x.h5: no space left in your quota", False),
        (OSError(errno.EIO, "broken"), "broken", True),
        (ZeroDivisionError("ours"), "ZeroDivisionError: ours", True),
    ],
)
def test_an_end_is_reported_and_logged(tmp_path, capsys, error, said, traceback):
    log = tmp_path / "logs/fit.log"
    with pytest.raises(SystemExit, match="1"), script(job_of(log)):
        raise error
    shown = capsys.readouterr().err
    assert said in shown
    assert ("Traceback" in shown) == traceback
    assert log.read_text() == shown


def test_a_full_disk_is_reported_where_no_log_can_be_written(tmp_path, capsys, monkeypatch):
    full = OSError(errno.ENOSPC, "full", "results/logs")
    monkeypatch.setattr(Path, "mkdir", lambda *arguments, **options: (_ for _ in ()).throw(full))
    with pytest.raises(SystemExit, match="1"), script(job_of(tmp_path / "logs/fit.log")):
        raise full
    assert (
        "ERROR fit: results/logs: no space left on the disk, or no inodes; free some"
        in capsys.readouterr().err
    )


def test_science_is_named_by_its_place(tmp_path, capsys):
    log = tmp_path / "fit.log"
    with pytest.raises(SystemExit, match="1"), script(job_of(log)), naming("config key encoding.delays"):
        raise ValueError("delays must be whole numbers;\n correct them")
    line = "ERROR fit: config key encoding.delays: delays must be whole numbers; correct them\n"
    assert capsys.readouterr().err == line, "one line for the user"
    logged = log.read_text()
    assert logged.endswith(line)
    assert "Traceback" in logged, "where it came from, for us"


def test_other_errors_are_not_put_down_to_the_user():
    with pytest.raises(KeyError), naming("a.tsv"):
        raise KeyError("ours")
    with pytest.raises(UserError, match=r"^b\.tsv: no onset"), naming("a.tsv"):
        raise UserError("b.tsv: no onset")
