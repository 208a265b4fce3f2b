"""A model folder's configuration, tokenizer and feature extractor, read without running code in it.

Some published models include Python files. If transformers has no class for such a model it would ask at the
terminal whether to run them; here it never asks, and they are never run.
"""

import sys
from pathlib import Path
from typing import Any

import tokenizers

from voxscale.errors import UserError, first_line
from voxscale.models.quiet import silence

_RULES = "tokenizer.json"
_PROBE = "It's 1234567 O'CLOCK; don't  panic, naïve café — 12.5% of e-mails… 北京, we'll see\n\n  3.30 😀 xq"

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
        if not (Path(folder) / file).exists():
            raise UserError(f"{Path(folder) / file}: is not there; get the whole model again") from None
        raise UserError(
            f"{Path(folder) / file}: cannot be read; get the whole model again ({first_line(error)})"
        ) from None


def open_config(folder: str | Path) -> Any:
    """The configuration of the model in a folder.

    Raises:
        UserError: it needs code of its own, or cannot be read.
    """
    return _open("AutoConfig", "config.json", folder)


def open_tokenizer(folder: str | Path, **options: Any) -> Any:
    """The tokenizer of the model in a folder; errors as for `open_config`.

    For some classes transformers builds the tokenizer anew, by rules of the class instead of those in
    `tokenizer.json`. The model was trained with the file's: where the two differ, the file's are taken, and
    a warning says so.
    """
    file = options.get("gguf_file", _RULES)
    tokenizer = _open("AutoTokenizer", file, folder, **options)
    if file != _RULES or splits_as_its_file(tokenizer, folder, _PROBE):
        return tokenizer
    print(
        f"WARNING {Path(folder) / _RULES}: transformers would split text otherwise than this file says "
        f"({type(tokenizer).__name__}); the file's rules are taken",
        file=sys.stderr,
    )
    return _open("PreTrainedTokenizerFast", _RULES, folder)


def splits_as_its_file(tokenizer: Any, folder: str | Path, text: str) -> bool:
    """Whether a tokenizer gives a text the tokens that `tokenizer.json`, if there is one, gives it."""
    file = Path(folder) / _RULES
    if not file.exists() or not tokenizer.is_fast:
        return True
    # The text begins with a blank: whether one is put before the first word is set outside the file.
    text = " " + text
    wanted = tokenizers.Tokenizer.from_file(str(file)).encode(text, add_special_tokens=False).ids
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] == wanted


def open_extractor(folder: str | Path) -> Any:
    """The feature extractor of the speech model in a folder; errors as for `open_config`."""
    return _open("AutoFeatureExtractor", "preprocessor_config.json", folder)
