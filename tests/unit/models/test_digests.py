"""A model's files are those that its card was written for."""

import pytest

from voxscale.errors import UserError
from voxscale.models.digests import digest_files, require_unchanged


@pytest.fixture
def card(tmp_path):
    for name in ("config.json", "tokenizer.json", "model.bin", "README.md"):
        (tmp_path / name).write_text(f"of {name}")
    return {"model": "opt", "path": str(tmp_path), "hub": None, "files": digest_files(tmp_path)}


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.bin", "model.safetensors"])
def test_a_file_that_changed_or_was_added_is_told(card, tmp_path, name):
    require_unchanged(card)
    (tmp_path / name).write_text("another")
    with pytest.raises(
        UserError, match=rf"{name}: has changed since opt was prepared.*results/models/opt\.json"
    ):
        require_unchanged(card)


def test_a_file_that_is_gone_is_told(card, tmp_path):
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json: has changed"):
        require_unchanged(card)


def test_what_is_not_loaded_may_change(card, tmp_path):
    (tmp_path / "README.md").write_text("more")
    require_unchanged(card)
    (tmp_path / "model.safetensors").write_text("of the same revision")
    require_unchanged({**card, "hub": "lab/opt"})
    require_unchanged({**card, "files": None})
