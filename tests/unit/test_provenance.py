"""A file says which code made it: a commit where there is one, else a version."""

import subprocess
from pathlib import Path

import pytest

import voxscale
from voxscale import provenance


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The code's state, of a library that lies in `tmp_path/code/scripts`."""
    monkeypatch.setattr(provenance, "SCRIPTS", tmp_path / "code/scripts")
    (tmp_path / "code/scripts/voxscale").mkdir(parents=True)
    (tmp_path / "code/scripts/voxscale/versions.py").write_text("one\n")
    (tmp_path / "code/config.yaml").write_text("one\n")
    return provenance.code_state.__wrapped__


def git(folder, *arguments):
    known = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", *known, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder, *paths):
    git(folder, "init", "-q")
    git(folder, "add", *paths)
    git(folder, "commit", "-q", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


def test_a_checkout_is_named_by_its_commit(tmp_path, state):
    first = commit(tmp_path / "code", ".")
    assert state() == first
    (tmp_path / "code/config.yaml").write_text("mine\n")
    assert state() == first, "what is no code does not count"
    (tmp_path / "code/scripts/voxscale/new.py").write_text("two\n")
    assert state() == f"{first}+changes"


def test_without_a_checkout_the_version_stands_in(tmp_path, state, monkeypatch):
    assert state() == voxscale.__version__, "no repository"
    commit(tmp_path / "code", "config.yaml")
    assert state() == voxscale.__version__, "a file of no commit of that repository: installed by pip"
    commit(tmp_path / "code", ".")
    assert state() != voxscale.__version__
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError("git")))
    assert state() == voxscale.__version__, "no git"


def test_a_checkout_of_another_user_does_not_fail(tmp_path, state, monkeypatch):
    commit(tmp_path / "code", ".")
    (folder := tmp_path / "bin").mkdir()
    (folder / "git").write_text("#!/bin/sh\necho fatal: detected dubious ownership >&2\nexit 128\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert state() == voxscale.__version__


def test_what_is_collected_holds_the_state_of_this_code():
    folder = Path(voxscale.__file__).parent
    try:
        head = git(folder, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        head = voxscale.__version__
    assert provenance.collect(rule="fit")["code"].removesuffix("+changes") == head
    assert provenance.collect(rule="fit")["rule"] == "fit"
