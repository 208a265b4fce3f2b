"""The report: one HTML file with everything inside, which opens without a network."""

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from PIL import Image

from voxscale.dataset import in_folds
from voxscale.figures import voxel_set_label
from voxscale.io import reading, require_origin, sha256_file, write_page
from voxscale.provenance import job
from voxscale.report import content
from voxscale.report import warnings as report_warnings
from voxscale.report.published import published_rows

_CSV_BYTES = 200_000  # larger tables stay in the file next to the figure
_LEAST = {"r": 0.02, "r2": 0.002}  # ASSUME: a percentage of a mean score below these means nothing
_PAPER = "Antonello, Vaidya & Huth, Scaling laws for language encoding models in fMRI, arXiv 2305.11863"


def read_figure(png: Path, caption: str, number: int) -> dict[str, Any]:
    """A figure for the template.

    Args:
        png: the figure, written by `save_figure`; its numbers are in the `.csv` file next to it.

    Raises:
        UserError: one of the two is missing, damaged, or another figure's.
    """
    csv = png.with_suffix(".csv")
    with reading(png):
        with Image.open(png, formats=["PNG"]) as image:
            image.verify()
        with Image.open(png, formats=["PNG"]) as image:
            (width, height), said = image.size, image.text
        require_origin(png, said.get("origin"))
    with reading(csv, f"delete it and {png}, and run again"):
        if said.get("csv", "") not in ("", sha256_file(csv)):
            raise ValueError(f"it has changed since {png.name} was drawn")
        data = pd.read_csv(csv, nrows=1)
    small = csv.stat().st_size <= _CSV_BYTES
    return {
        "name": png.stem,
        "note": data.note.iloc[0] if "note" in data else None,
        "number": number,
        "file": f"figures/{png.name}",
        "png": _encoded(png),
        "csv": _encoded(csv) if small else None,
        "caption": caption,
        "alt": png.stem.replace("_", " "),
        "width": width,
        "height": height,
        "points": said.get("points"),
    }


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _choice_rows(choice: pd.DataFrame) -> list[dict[str, Any]]:
    mean = choice.groupby(["model", "voxel_set", "unit", "metric"], as_index=False, sort=False)
    return [
        {
            "model": row.model,
            "voxels": voxel_set_label(row.voxel_set),
            "chosen for": row.unit,
            "metric": row.metric,
            "layer chosen in training": row.by_cv,
            "layer chosen on the test set": row.by_test,
            "optimism": row.optimism,
            "optimism, %": 100 * row.optimism / row.by_cv if row.by_cv > _LEAST[row.metric] else float("nan"),
        }
        for row in mean[["by_cv", "by_test", "optimism"]].mean().itertuples()
    ]


def _section_tables(
    tables: Mapping[str, pd.DataFrame],
    config: Mapping[str, Any],
    presets: Mapping[str, Any],
    provenance: Mapping[str, Any],
    validation: Mapping[str, Any],
    chief_laws: Mapping[str, str],
    stories: Sequence[Mapping[str, str]] = (),
    steps: Sequence[Mapping[str, str]] = (),
) -> dict[str, list[content.Table]]:
    """Tables of each section of the story, by its id."""
    laws, summary, x_names = tables["laws"], tables["summary"], content.x_names(config)
    chief = content.chief(laws)
    rest = laws.drop(chief.index)
    versions = [{"package": k, "version": v} for k, v in provenance.get("versions", {}).items()]
    models = [{"model": k, "revision": v} for k, v in provenance.get("models", {}).items()]
    stacked = bool(config.get("stacking", {}).get("members"))
    table = content.table
    return {
        "data": [
            *table("", content.subject_rows(tables["subjects"], tables["voxels"], summary)),
            *table("Stories of each subject: trained on, tested on, left out and why", stories, fold=True),
            *table("How responses were made from the images", steps),
        ],
        "models": table("", content.model_rows(summary), fold=summary.model.nunique() > 30),
        "laws": [
            *table(
                "Published numbers and ours",
                published_rows(
                    laws, summary, tables["law_points"], tables["artifact"], x_names, chief_laws, stacked
                ),
            ),
            *table("Slopes of the mean of subjects", content.slope_rows(chief, x_names)),
            *table("Which form fits", content.form_rows(chief[chief.metric == "r2"])),
            *table("Slopes, every subject and voxel set", content.slope_rows(rest, x_names), fold=True),
            *table("Forms, every subject and voxel set", content.form_rows(rest), fold=True),
        ],
        "layers": table("Choosing a layer", _choice_rows(tables["layer_choice"])),
        "comparisons": table("Differences", content.comparison_rows(tables["comparison_sets"])),
        "validation": table("Every check", content.check_rows(validation), fold=True),
        "next": table(
            "What each step is expected to bring, of these models", content.next_rows(tables["what_next"])
        ),
        "provenance": [
            *table("Choices", content.switch_rows(config, presets)),
            *table("Versions", versions, fold=True),
            *table("Models as used", models, fold=True),
        ],
    }


def _interval(config: Mapping[str, Any]) -> float:
    return float(config.get("bootstrap", {}).get("interval", 0.9))


def _code(provenance: Mapping[str, Any]) -> str:
    """The commit, shortened, with the mark of changed files; or the version, where there is no repository."""
    commit, changes, _ = str(provenance.get("code", "")).partition("+")
    return (
        f"commit {commit[:9]}{' with changes' if changes else ''}"
        if len(commit) == 40
        else f"version {commit}"
    )


_SHARED = {
    False: "Repeats of the test story show how much of a voxel's response is signal.",
    True: "What subjects share in their responses to the same stories is a lower bound of a voxel's signal.",
}
_OPTIMISM = {
    False: ", and how much a score would rise if the layer were chosen on the test set itself: that rise is "
    "optimism, not prediction.",
    True: ". Stories are tested on in turn: a layer is chosen by the stories that it is tested on. How much "
    "this raises its score is not known, and no table states it.",
}


def _words(config: Mapping[str, Any]) -> dict[str, str]:
    """What the story's braces stand for."""
    floor = config.get("ceiling", {}).get("floor")
    left_out = " and are left out" if floor is None else f"; smaller ceilings count as {floor}"
    return {
        "interval": f"{_interval(config):.0%}",
        "skip_s": f"{config.get('scoring', {}).get('skip_s', 100):g}",
        "floor": left_out,
        "shared": _SHARED[config.get("ceiling", {}).get("kind") == "subjects"],
        "optimism": _OPTIMISM[in_folds(config.get("dataset", {}).get("test_stories"))],
        "preset": config.get("encoding", {}).get("preset", "strict"),
    }


def write_report(
    figures: Sequence[tuple[str | Path, str, str]],
    tables: Mapping[str, pd.DataFrame],
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    out: str | Path,
    *,
    template: str | Path,
    presets: Mapping[str, Any] | None = None,
    validation: Mapping[str, Any] | None = None,
    chief_laws: Mapping[str, str] | None = None,
    untrained: Sequence[str] = (),
    found: Sequence[str] = (),
    notes: Sequence[str] = (),
    cautions: Sequence[str] = (),
    stories: Sequence[Mapping[str, str]] = (),
    steps: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write the report.

    Args:
        figures: PNG (with its numbers in a `.csv` file next to it), section and caption of each.
        tables: frames by name: summary, subjects, voxels, laws, law_points, layer_choice, comparison_sets,
            artifact, joint, what_next.
        config: the study's, complete.
        provenance: from `voxscale.provenance.collect`; `models` maps a model to its revision.
        template: `report.html.j2`, in one folder with `story.yaml`.
        presets: the presets, name -> their settings.
        validation: comparison with the phantom's truth, if there is one.
        chief_laws: the law shown for language models, for speech models and for training data.
        untrained: models that are controls although they are networks.
        found: warnings that jobs wrote.
        notes: limitations that follow from the config and the dataset.
        cautions: those of them because of which less can be concluded.
        stories: what was used, see `Dataset.story_table`.
        steps: how responses were made, see `Dataset.steps`.
    """
    template = Path(template)
    summary = tables["summary"]
    control = summary.model.isin(list(untrained))
    tables = {**tables, "summary": summary.assign(modality=summary.modality.mask(control, "control"))}
    chief_laws = chief_laws or {}
    shown = _section_tables(
        tables, config, presets or {}, provenance, validation or {}, chief_laws, stories, steps
    )
    alphas, about = config["encoding"]["alphas"], (found, notes, cautions)
    ranked = report_warnings.warnings(tables["summary"], tables["laws"], tables["joint"], alphas, *about)
    warned = sum(len(texts) for rank, texts in ranked.items() if rank != report_warnings.NOTED)
    rest = {key: value for key, value in provenance.items() if key not in ("versions", "models")}
    plain = json.loads(json.dumps(config, default=str))
    codes = [
        {"title": "Config", "text": yaml.safe_dump(plain, sort_keys=False)},
        {"title": "Provenance", "text": json.dumps(rest, indent=1, sort_keys=True, default=str)},
    ]
    number, sections, missing = 0, [], job().get("missing", [])
    for section in yaml.safe_load((template.parent / "story.yaml").read_text()):
        drawn = []
        for png, _, caption in (figure for figure in figures if figure[1] == section["title"]):
            drawn.append(read_figure(Path(png), caption, number + 1))
            number += drawn[-1]["note"] is None
        key, text = section["id"], section.get("text", "").format(**_words(config))
        if key == "warnings" and not warned:
            text = f"Nothing in this study needs caution. {text}"
        names = {figure["name"] for figure in drawn}
        part = {
            "figures": drawn,
            "without": [
                said for name, said in section.get("without", {}).items() if name not in names and not missing
            ],
            "tables": shown.get(key, []),
            "codes": codes if key == "provenance" else [],
            "warnings": ranked if key == "warnings" else {},
        }
        if any(part[name] for name in part if name != "without") or key == "warnings":
            sections.append({"id": key, "title": section["title"], "text": text, **part})
    dataset = config.get("dataset", {})
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = environment.from_string(template.read_text()).render(
        title="Scaling laws of brain encoding models",
        name="voxscale",
        subtitle=f"{_dataset_name(dataset)}, {', '.join(map(str, dataset.get('subjects', [])))}",
        abstract=content.abstract(tables, chief_laws, _interval(config), warned),
        made=f"{datetime.date.today():%d %B %Y}, {_code(provenance)}",
        facts=content.facts(tables, content.x_names(config), chief_laws),
        sections=sections,
        missing=missing,
        calm=report_warnings.NOTED,
        footer=f"Made by voxscale {provenance.get('versions', {}).get('voxscale', '')}. After {_PAPER}.",
    )
    write_page(out, page)


def _dataset_name(dataset: Mapping[str, Any]) -> str:
    return {
        "phantom": "The phantom brain: a made-up dataset with known truth",
        "ds003020": "ds003020, natural language listening",
    }.get(str(dataset.get("kind")), f"Dataset at {dataset.get('root', '?')}")
