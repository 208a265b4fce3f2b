"""Compare what each stage computes with its golden numbers; as a program, write them: `make golden`."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from golden_stages import STAGES

from voxscale.versions import NUMBERS

ROOT = Path(__file__).parents[1]
FOLDER, CHANGELOG = ROOT / "tests/golden", ROOT / "CHANGELOG.md"

Numbers = Mapping[str, list[Any]]


def computed(stage: str) -> dict[str, list[Any]]:
    """A stage's numbers now, to six digits; those that are not finite as text."""
    with tempfile.TemporaryDirectory() as folder:
        found = STAGES[stage].compute(Path(folder))
    short = {name: [float(f"{value:.6g}") for value in values] for name, values in found.items()}
    return {name: [v if np.isfinite(v) else str(v) for v in values] for name, values in short.items()}


def stored(stage: str) -> dict[str, Any] | None:
    """A stage's golden file, if there is one: `version` and `numbers`."""
    path = FOLDER / f"{stage}.json"
    return json.loads(path.read_text()) if path.exists() else None


def moved(old: Numbers, new: Numbers, tolerance: float) -> list[str]:
    """Names of numbers that are in both and differ by more than the tolerance, relative to each number.

    Numbers that are small beside the others of their name may differ by a hundredth of those.
    """
    found = []
    for name in old.keys() & new.keys():
        a, b = (np.array(values, np.float64) for values in (old[name], new[name]))
        size = np.abs(a[np.isfinite(a) & (a != 0)])
        least = 0.01 * tolerance * (np.median(size) if len(size) else 1)
        if len(a) != len(b) or not np.allclose(b, a, rtol=tolerance, atol=least, equal_nan=True):
            found.append(name)
    return sorted(found)


def faults(
    stage: str, version: int, now: Numbers, known: Mapping[str, Any] | None, changelog: str
) -> list[str]:
    """What is wrong with a stage's version, in one line each; nothing if its numbers are its golden ones.

    Args:
        version: the stage's in `NUMBERS`.
        now, known: its numbers, and its golden file's content.
        changelog: the text of CHANGELOG.md.
    """
    if known is None:
        return [f"stage {stage} has no golden numbers: `make golden`"]
    found = []
    if version != known["version"]:
        found.append(
            f"numbers of stage {stage} are of version {version}, the golden ones of version "
            f"{known['version']}: `make golden`"
        )
    elif names := moved(known["numbers"], now, STAGES[stage].tolerance):
        found.append(
            f"numbers of stage {stage} have changed ({', '.join(names[:3])}): raise {stage} in "
            "voxscale/versions.py, add a line to CHANGELOG.md, then `make golden`"
        )
    elif known["numbers"].keys() != now.keys():
        found.append(f"the golden test of stage {stage} computes other things: `make golden`")
    if version > 1 and not re.search(rf"^- numbers: {stage} {version} – \S", changelog, re.MULTILINE):
        found.append(
            f"version {version} of stage {stage} is not in CHANGELOG.md: add a line "
            f'"- numbers: {stage} {version} – why"'
        )
    return found


def write() -> list[str]:
    """Write the golden files that are new or out of date.

    Returns:
        stages whose numbers have changed while their version has not, in one line each; nothing is written
        for them.
    """
    refused = []
    for stage in STAGES:
        known, now = stored(stage), computed(stage)
        found = faults(stage, NUMBERS[stage], now, known, CHANGELOG.read_text())
        wrong = [fault for fault in found if "raise" in fault or "CHANGELOG" in fault]
        if wrong:
            refused += wrong
        elif found:
            FOLDER.mkdir(exist_ok=True)
            lines = [f" {json.dumps(name)}: {json.dumps(values)}" for name, values in now.items()]
            body = ",\n".join(lines)
            text = f'{{"version": {NUMBERS[stage]}, "numbers": {{\n{body}\n}}}}\n'
            (FOLDER / f"{stage}.json").write_text(text)
    return refused


if __name__ == "__main__":
    refused = write()
    print("\n".join(refused), file=sys.stderr)
    sys.exit(bool(refused))
