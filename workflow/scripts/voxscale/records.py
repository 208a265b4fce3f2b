"""What Snakemake noted of how a file was made, read without Snakemake: were the settings those of now?

Only settings of the config are looked at. Code and inputs that have changed make a job run again, too;
that is Snakemake's to find (`--dry-run`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxscale.jobs import STAGES, Job, Jobs

SNAKEMAKE = Path(".snakemake")
NAME_MAX = 255  # of a file's name, on every file system that Linux commonly has


def file_of(path: str | Path, kind: str, snakemake: Path = SNAKEMAKE) -> Path:
    """Where Snakemake keeps its note on an output.

    Args:
        kind: `metadata`, or `incomplete` for a mark that it is being written.
    """
    # ASSUME: Snakemake 9.27 names it by the path's base64, cut into folders where that is too long.
    name = base64.urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[i : i + NAME_MAX - 1] for i in range(0, len(name), NAME_MAX - 1)]
    return snakemake.joinpath(kind, *(f"@{part}" for part in parts[:-1]), parts[-1])


def marked(snakemake: Path = SNAKEMAKE) -> Iterator[str]:
    """Outputs that Snakemake has marked as being written."""
    folder = snakemake / "incomplete"
    for path in folder.rglob("*"):
        if path.is_file():
            name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            try:
                yield base64.urlsafe_b64decode(name).decode()
            except ValueError:
                continue


def parameters(output: str | Path, snakemake: Path = SNAKEMAKE) -> set[str] | None:
    """Parameters that an output was made with, as Python writes them; None where there is no note of it."""
    try:
        noted = json.loads(file_of(output, "metadata", snakemake).read_text())
    except (OSError, ValueError):  # none, or one that is just being written
        return None
    return set(noted.get("params") or ()) if isinstance(noted, Mapping) else None


class Settings:
    """Whether the outputs that are there were made with the settings that the config has now.

    Args:
        jobs: of the study, its working directory the current one.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.study = jobs.study
        self._features: dict[str, tuple[str, bool]] = {}  # of each model: settings, whether they differ
        self._fit = repr(self.study.fit_settings())
        self._others: dict[str, list[Any]] = {
            "fit_law": [self.study.bootstrap_settings],
            "fit_joint": [self.study.bootstrap_settings],
            "measure_artifact": [self.study.bootstrap_settings],
            "estimate_ceiling": [self.study.ceiling_settings],
            "gather_scores": [self.study.config["scoring"]["fdr"]],
            "stack_models": [self.study.fit_settings() | self.study.bootstrap_settings],
        }
        self._fits_differ = False

    def differ(self, job: Job) -> bool:
        """Whether a job's output is there, but was made with other settings, or of what was.

        To be asked of the jobs in the order of their work, since a table of other fits is another table.
        """
        rule = job.rule
        if rule.startswith("extract_"):
            return self._feature(job.wildcards["model"])[1]
        if rule == "fit_encoding":
            model = job.wildcards["model"]
            found = self._feature(model)[1] or self._lacks(job, [self._feature(model)[0], self._fit])
        elif rule == "fit_banded":
            bands = [band["model"] for band in self.study.bands(job.wildcards["banded"])]
            found = any(self._feature(model)[1] for model in bands) or self._lacks(job, [self._fit])
        elif rule == "estimate_ceiling":  # of responses alone
            return self._lacks(job, map(repr, self._others[rule]))
        elif rule in (*STAGES["analysis"], "predict_encoding", "write_report") or rule.startswith("draw_"):
            return self._fits_differ or self._lacks(job, map(repr, self._others.get(rule, [])))
        else:
            return False
        self._fits_differ |= found
        return found

    def _feature(self, model: str) -> tuple[str, bool]:
        if model not in self._features:
            wanted = repr(self.study.feature_settings(model))
            job = Job(self.study.extractors(model)[0], {"model": model})
            self._features[model] = wanted, self._lacks(job, [wanted])
        return self._features[model]

    @staticmethod
    def _lacks(job: Job, wanted: Any) -> bool:
        """Whether a job's note names other parameters than these; without a note it counts as made so."""
        if not (wanted := list(wanted)):
            return False
        noted = parameters(job.output)
        return noted is not None and not noted.issuperset(wanted)
