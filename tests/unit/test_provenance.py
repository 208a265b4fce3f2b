"""A job runs again when the code it runs has changed, and not when other code has."""

import pytest

from voxscale import provenance

SOURCES = {
    "fit.py": "from voxscale.ridge import solve\nfrom voxscale.io.files import atomic\n",
    "voxscale/__init__.py": "",
    "voxscale/io/files.py": "atomic = 1\n",
    "voxscale/ridge/__init__.py": "from voxscale.ridge.solver import solve\n",
    "voxscale/ridge/solver.py": "def solve():\n    from voxscale import folds\n    return folds.n\n",
    "voxscale/folds.py": "n = 5\n",
    "voxscale/laws/fit.py": "import voxscale\n",
}


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """Hash of a script after some files were changed."""
    monkeypatch.setattr(provenance, "SCRIPTS", tmp_path)

    def hashed(changed=()):
        for name, text in {**SOURCES, **dict(changed)}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        provenance.code_hash.cache_clear()
        provenance._imports.cache_clear()
        return provenance.code_hash("fit")

    yield hashed
    provenance.code_hash.cache_clear()
    provenance._imports.cache_clear()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fit.py", SOURCES["fit.py"] + "x = 1\n"),
        ("voxscale/ridge/__init__.py", SOURCES["voxscale/ridge/__init__.py"] + "x = 1\n"),
        ("voxscale/ridge/solver.py", SOURCES["voxscale/ridge/solver.py"].replace("n\n", "n + 1\n")),
        ("voxscale/folds.py", "n = 6\n"),
    ],
)
def test_code_that_is_used_counts(hashed, name, text):
    before = hashed()
    assert hashed({name: text}) != before
    assert hashed() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("voxscale/laws/fit.py", "x = 1\n"),
        ("voxscale/io/files.py", "atomic = 2\n"),
        ("voxscale/folds.py", "# why five\nn = (\n    5\n)\n"),
    ],
)
def test_other_code_and_comments_do_not(hashed, name, text):
    before = hashed()
    assert hashed({name: text}) == before
