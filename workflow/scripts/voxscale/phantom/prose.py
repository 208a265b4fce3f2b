"""The phantom's stories: plain prose on disk, read as sentences and as words."""

import re
from collections.abc import Sequence
from pathlib import Path

from voxscale.errors import UserError

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")


def words(text: str) -> list[str]:
    """Words of a text as a transcript has them: lower case, apostrophes kept, no punctuation."""
    return [match.group().lower() for match in WORD.finditer(text)]


def sentences(text: str, limit: int | None = None) -> list[str]:
    """Sentences of a text, each with at least one word, up to `limit` words."""
    kept: list[str] = []
    left = limit if limit is not None else len(text)
    for match in _SENTENCE.finditer(" ".join(text.split())):
        sentence = match.group().strip()
        spans = list(WORD.finditer(sentence))
        if not spans or left <= 0:
            continue
        if len(spans) > left:
            sentence = sentence[: spans[left - 1].end()] + "."
        kept.append(sentence)
        left -= min(len(spans), left)
    return kept


def read_prose(folder: str | Path, names: Sequence[str]) -> dict[str, str]:
    """Read `<name>.txt` of each story.

    Raises:
        UserError: a text has no word, or has characters that are not allowed.
    """
    folder = Path(folder)
    stories = {}
    for name in names:
        path = folder / f"{name}.txt"
        text = path.read_text(encoding="utf-8")
        # A digit or a hyphen would be spoken as words that are not in the text.
        strange = sorted(set(re.findall(r"[^A-Za-z'.,?!;:\s]", text)))
        if strange or not WORD.search(text):
            what = f"holds {' '.join(strange)}" if strange else "has no word"
            raise UserError(f"{path}: {what}; write plain words with . , ? ! ; : and apostrophes")
        stories[name] = text
    return stories
