"""A report of the finished parts: which models and subjects are whole, and a config without the others."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from voxscale.errors import UserError
from voxscale.io import atomic
from voxscale.jobs.figures import figures_of
from voxscale.jobs.jobs import Jobs
from voxscale.jobs.rules import GATHERED, PARTIAL, STAGES
from voxscale.jobs.status import Seen, tail
from voxscale.study import Study

LEFT_OUT = Path(PARTIAL, "left_out.yaml")
# Rules of whose files one of each model or each subject is gathered, apart from the fits.
_OF_PARTS = ("prepare_model", "describe_subject", "estimate_ceiling")
# Those of each subject that only figures show.
_SHOWN = {rule.name for rule in STAGES["analysis"]} - {*GATHERED, *_OF_PARTS, "stack_models"}
_BEFORE = (*STAGES["data"], *STAGES["features"])  # the fits
_WHY = {
    "outdated": "was made with other settings or inputs than those of now",
    "running": "still runs",
    "waiting": "waits in the queue",
    "missing": "has not been made yet",
}


def missing_parts(jobs: Jobs, seen: Sequence[Seen]) -> dict[str, Any]:
    """What a report of the finished parts leaves out and why, by the keys of the config's `partial`.

    A model is left out if a fit of it is missing; but where a subject lacks fits of most models, the subject.

    Args:
        seen: the state of every job.
    """
    lacking = [one for one in seen if one.state != "done"]
    found: dict[str, Any] = {"models": {}, "subjects": {}}
    for one in lacking:
        if one.job.rule in _OF_PARTS:
            (kind, name), *_ = one.job.wildcards.items()
            found[f"{kind}s"][name] = _reason(jobs, one, seen)
    done = Counter(part for one in seen if one.done for part in _parts(one) * len(one.done))
    fits = [one for one in lacking if one.job.rule == "fit_encoding"]
    while fits := [one for one in fits if not any(name in found[kind] for kind, name in _parts(one))]:
        lost = Counter(part for one in fits for part in _parts(one) * max(len(one.left), 1))
        # That which loses the fewest finished fits for each fit that is missing.
        kind, name = min(sorted(lost), key=lambda part: (done[part] / lost[part], -lost[part]))
        first = next(one for one in fits if (kind, name) in _parts(one))
        found[kind][name] = f"{_reason(jobs, first, seen)} (fits missing: {lost[kind, name]})"
    return found | _joined(jobs, lacking, seen, found["subjects"])


def _parts(one: Seen) -> list[tuple[str, str]]:
    """The model and the subject of a batch of fits."""
    return [("models", one.job.wildcards["model"]), ("subjects", one.job.wildcards["subject"])]


def _joined(jobs: Jobs, lacking: Sequence[Seen], seen: Sequence[Seen], out: Any) -> dict[str, Any]:
    """What several models or subjects make together, and one of the subjects lacks."""
    found: dict[str, Any] = {"banded": {}, "figures": {}}
    for one in lacking:
        if one.job.wildcards.get("subject") in out:
            continue
        if one.job.rule == "stack_models":
            found["stacking"] = _reason(jobs, one, seen)
        elif one.job.rule == "fit_banded":
            found["banded"][one.job.wildcards["banded"]] = _reason(jobs, one, seen)
        elif one.job.rule in _SHOWN:
            tables, figures = one.job.record.outputs.keys(), figures_of(jobs.study).values()
            drawn = [figure.name for figure in figures if figure.tables.keys() & tables]
            found["figures"] |= dict.fromkeys(drawn, _reason(jobs, one, seen))
    return found


def _reason(jobs: Jobs, one: Seen, seen: Sequence[Seen]) -> str:
    """Why a job's outputs are missing: its own mistake, or that of a job before it."""
    if one.log:
        return _last_words(one.log)
    about = set(one.job.wildcards.values())
    source = jobs.study.registry.get(one.job.wildcards.get("model", ""))
    about |= {source.source} if source and source.source else set()
    for other in seen:
        # A job before it is about nothing else than its model, its subject, or neither.
        if other.log and other.job.record in _BEFORE and set(other.job.wildcards.values()) <= about:
            return f"{other.job.rule} failed: {_last_words(other.log)}"
    return f"{one.job.output} {_WHY.get(one.state, one.state)}"


def _last_words(log: Path) -> str:
    return re.sub(r"^ERROR \w+: ", "", tail(log))


def write_left_out(jobs: Jobs, seen: Sequence[Seen]) -> None:
    """Write a config that leaves out what is missing, to be read after the study's own.

    Raises:
        UserError: nothing is missing.
    """
    found = missing_parts(jobs, seen)
    if not any(found.values()):
        raise UserError("--partial: every fit is there; run snakemake, which makes the whole report")
    with atomic(LEFT_OUT) as temporary:
        temporary.write_text(yaml.safe_dump({"partial": found}, sort_keys=False))


def write_readme(study: Study) -> None:
    """Write what a partial study lacks, next to its files."""
    text = "# Not the whole study\n\nThe files here are of the parts that were finished.\n\n"
    with atomic(Path(PARTIAL, "README.md")) as temporary:
        temporary.write_text(text + "".join(f"- {line}\n" for line in study.missing))
