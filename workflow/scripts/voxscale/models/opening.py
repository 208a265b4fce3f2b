"""A model folder's configuration, tokenizer and feature extractor, read without running code in it.

Some published models include Python files. If transformers has no class for such a model it would ask at the
terminal whether to run them; here it never asks, and they are never run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxscale.errors import UserError
from voxscale.models.quiet import silence

# Passed to every call that loads something of a model.
NO_OWN_CODE = {"trust_remote_code": False}


def refuse_own_code(error: Exception, folder: str | Path) -> None:
    """Say plainly that a model cannot be used because it needs code of its own; other errors pass.

    Raises:
        UserError: `error` is transformers' refusal to run a model's own code.
    """
    if "trust_remote_code" in str(error):
        raise UserError(
            f"{folder}: this model needs program code of its own, which is never run; "
            "use a model that transformers has a class for"
        ) from None


def _open(kind: str, file: str, folder: str | Path, **options: Any) -> Any:
    import transformers

    silence()
    try:
        return getattr(transformers, kind).from_pretrained(folder, **NO_OWN_CODE, **options)
    except Exception as error:
        # Each configuration, tokenizer and format has exceptions of its own.
        refuse_own_code(error, folder)
        detail = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{Path(folder) / file}: cannot be read ({detail}); get the whole model again"
        ) from None


def open_config(folder: str | Path) -> Any:
    """The configuration of the model in a folder.

    Raises:
        UserError: it needs code of its own, or cannot be read.
    """
    return _open("AutoConfig", "config.json", folder)


def open_tokenizer(folder: str | Path, **options: Any) -> Any:
    """The tokenizer of the model in a folder; errors as for `open_config`."""
    return _open("AutoTokenizer", options.get("gguf_file", "tokenizer.json"), folder, **options)


def open_extractor(folder: str | Path) -> Any:
    """The feature extractor of the speech model in a folder; errors as for `open_config`."""
    return _open("AutoFeatureExtractor", "preprocessor_config.json", folder)
