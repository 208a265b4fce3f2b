"""Whether each language model takes the tokens of its longest context, before the first job."""

import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

from voxscale.dataset import read_transcript
from voxscale.errors import UserError, hint, naming
from voxscale.features import make_passage
from voxscale.io import read_json
from voxscale.models import ModelEntry, folder_on_disk, most_tokens, open_tokenizer
from voxscale.study.settings import network_block
from voxscale.study.study import Study

CONTEXT = ("unit", "max_context", "restart_at")  # what a model's entry may say otherwise than `features.text`
_FEWEST, _MOST = 1.1, 4.0  # ASSUME: tokens of a word, the mean of a context, in any tokenizer and language


def _positions(entry: ModelEntry, folder: Path | None) -> int | None:
    """Tokens that a model takes at once, where its entry or its folder says so."""
    path = folder / "config.json" if folder else None  # a folder with a GGUF file has none
    found = read_json(path) if path and path.is_file() else {}
    return most_tokens(SimpleNamespace(**{**found, **found.get("text_config", {}), **entry.config}))


def _check(study: Study, model: str, folder: Path | None) -> int | None:
    """Check what the numbers alone say; gives the tokens that the model takes."""
    entry, block = study.registry[model], network_block(study, study.registry[model])
    longest, unit, takes = block["max_context"], block["unit"], _positions(entry, folder)
    tokens = math.ceil(longest * (_FEWEST if unit == "words" else 1))
    if takes is not None and tokens > takes:
        most = int(takes / (2 if unit == "words" else 1))
        raise UserError(
            f"{entry.where}.context: {model} has {takes} positions, and a context of {longest} {unit} "
            f"(features.text.max_context) makes at least {tokens} tokens; set context: "
            f"{{max_context: {most}, restart_at: {most // 2}}}"
        )
    return takes


def check_contexts(study: Study) -> None:
    """Check what the config and local folders say.

    Raises:
        UserError: a model's entry has impossible keys, or the model has too few positions.
    """
    for model in study.models_of("language"):
        entry = study.registry[model]
        block, where = network_block(study, entry), f"{entry.where}.context"
        if unknown := entry.context.keys() - CONTEXT:
            raise UserError(f"{where}: unknown key {min(unknown)}; {hint(min(unknown), CONTEXT)}")
        if not 0 < block["restart_at"] < (longest := block["max_context"]):
            raise UserError(f"{where}: restart_at must be between 0 and max_context {longest}; change it")
        _check(study, model, Path(entry.path) if entry.path else None)


def require_contexts(study: Study, models: Iterable[str]) -> None:
    """Count the tokens of the stories, where a model and the transcripts are on this machine.

    A model that takes far more than the words of a context is left out: its tokenizer takes seconds.

    Raises:
        UserError: a model takes fewer tokens than a context has, or its tokens do not match the words.
    """
    near = []
    for model in models:
        if folder := folder_on_disk(study.registry[model]):
            takes, block = _check(study, model, folder), network_block(study, study.registry[model])
            if takes and takes < _MOST * block["max_context"]:
                near.append((study.registry[model].where, folder, [*(block[key] for key in CONTEXT), takes]))
    if not near:
        return
    untimed = study.dataset.config.get("untimed_words", "refuse")
    paths = {story: study.dataset.transcript(story) for story in study.stories}
    words = {
        story: [word.label for word in read_transcript(path, untimed)[0]]
        for story, path in paths.items()
        if path.exists()
    }
    for where, folder, context in near:
        tokenizer = open_tokenizer(folder)
        for story, spoken in words.items():
            with naming(f"{where}: story {story}"):
                make_passage(tokenizer, spoken, *context)
