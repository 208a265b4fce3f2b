"""The published study, planned on files of no bytes: every job is there, and priced."""

import re
from collections import Counter

import pytest
from workflow.runs import HOME, snakemake

from voxscale.plan import load_jobs

PAPER, STRICT = HOME / "config/paper.yaml", HOME / "config/strict.yaml"
LAYERS = {  # with layer 0, the embeddings
    "language": 13 + 25 + 41 + 49 + 65 + 33 + 41 + 61 + 81,
    "speech": (13 + 25 + 49) + (13 + 13 + 25) + (5 + 7 + 13 + 25 + 33),
}


def empty_copy(folder, dataset):
    """The published files that the study needs, all empty, and the marks of a finished fetch."""
    for part in dataset.parts:
        for remote in dataset.needed(part):
            path = folder / dataset.root / remote.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        mark = folder / dataset.mark(part)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


@pytest.mark.parametrize("configs", [[PAPER], [PAPER, STRICT]], ids=["paper", "strict"])
def test_the_published_study_is_planned_on_empty_files(tmp_path, monkeypatch, configs):
    monkeypatch.chdir(tmp_path)
    jobs = load_jobs(configs, tmp_path)
    study = jobs.study
    empty_copy(tmp_path, study.dataset)
    run = snakemake(tmp_path, "--dry-run", "--quiet", "rules", "--configfile", *configs)
    assert run.status == 0, run.text[-3000:]
    table = (line.split() for line in run.text.splitlines())
    planned = {words[0]: int(words[1]) for words in table if len(words) == 2 and words[1].isdigit()}
    expected = Counter(job.rule for job in jobs.all() if job.rule != "fetch_dataset")
    assert {rule: n for rule, n in planned.items() if rule not in ("all", "total")} == expected
    # Language models once more at a fixed width; controls, and two untrained twins in each of five families;
    # the sizes of OPT-125M below the largest, and three of two larger models.
    fits = 3 * (sum(LAYERS.values()) + LAYERS["language"] + 5 + 2 * 5 + 5 + 2 * 3)
    assert expected["fit_encoding"] == fits
    assert expected["read_story"] == 84
    assert study.config["encoding"]["preset"] == ("paper" if configs == [PAPER] else "strict")
    maps = {(cell.model, cell.layer) for cell in study.map_cells}
    assert maps == {("opt-30b", 33), ("whisper-large", 24)}
    assert all(
        len(study.dataset.training(s)) == n for s, n in {"UTS01": 82, "UTS02": 83, "UTS03": 83}.items()
    )


def test_without_a_copy_it_begins_with_the_download(tmp_path):
    run = snakemake(tmp_path, "fetch", "--dry-run", "--configfile", PAPER)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["fetch_dataset"] == 8  # transcripts, sounds, three subjects and their surfaces
    models = snakemake(tmp_path, "models", "--dry-run", "--configfile", PAPER)
    assert models.rules == {"prepare_model": 20 + 2 * 5, "models": 1}


def rule_files():
    return "".join(path.read_text() for path in (HOME / "Snakefile", *HOME.glob("rules/*.smk")))


def test_what_a_lab_is_told_to_type_exists():
    """Commands of docs/reproduce.md: targets of the Makefile, rules, figures and config files."""
    text = (HOME / "docs/reproduce.md").read_text()
    lines = re.findall(r"^\$ (.*)$", text, flags=re.MULTILINE)
    targets = re.findall(r"^([a-z0-9-]+):", (HOME / "Makefile").read_text(), flags=re.MULTILINE)
    rules = re.findall(r"^ *rule (\w+):", rule_files(), flags=re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        for path in re.findall(r"(?:config|profiles)/[\w./-]+", line):
            assert (HOME / path).exists(), line
        if line.startswith("make "):
            assert line.split()[1] in targets, line
        if line.startswith("snakemake ") and not (first := line.split()[1]).startswith("-"):
            figure = first.removeprefix("results/figures/").removesuffix(".png")
            assert first in rules or f"draw_{figure}" in rules, line
    for file in re.findall(r"\]\(([^)h][^)]*)\)", text):
        assert (HOME / "docs" / file).exists(), file
