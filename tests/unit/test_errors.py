"""How a script ends: a user's mistake in one line, our own with its traceback, all in the log."""

import errno

import pytest

from voxscale.errors import UserError
from voxscale.script import script


@pytest.mark.parametrize(
    ("error", "said", "traceback"),
    [
        (UserError("a.tsv: no onset;\n add it"), "ERROR fit: a.tsv: no onset; add it\n", False),
        (OSError(errno.ENOSPC, "full", "results/x.h5"), "ERROR fit: results/x.h5: no space left", False),
        (OSError(errno.EIO, "broken"), "broken", True),
        (ZeroDivisionError("ours"), "ZeroDivisionError: ours", True),
    ],
)
def test_an_end_is_told_and_logged(tmp_path, capsys, error, said, traceback):
    log = tmp_path / "logs/fit.log"
    with pytest.raises(SystemExit, match="1"), script("fit", log, 1):
        raise error
    shown = capsys.readouterr().err
    assert said in shown
    assert ("Traceback" in shown) == traceback
    assert log.read_text() == shown
