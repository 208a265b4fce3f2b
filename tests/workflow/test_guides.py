"""The commands, files and examples in the guides exist and work."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from labs import write_folder
from workflow.runs import HOME

from voxscale.errors import UserError
from voxscale.jobs import load_jobs, status
from voxscale.jobs.figures import FIGURES
from voxscale.report.published import PUBLISHED
from voxscale.study.site import read_site

GUIDES = ("README.md", "docs/reproduce.md", "docs/cluster.md", "docs/dataset.md", "docs/tutorial.md")
PAGES = [
    *(page.relative_to(HOME).as_posix() for page in HOME.glob("docs/*.md")),
    "README.md",
    "config/README.md",
]
OWN = "config/mine.yaml"  # written by the lab


def blocks(text, kind):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [block for of, block in fenced if of == kind]


def commands(text):
    """Lines to be typed: those after a `$`, or the whole of a block without a language."""
    typed = [line.removeprefix("$ ") for block in blocks(text, "console") for line in block.splitlines()]
    return typed + [line for block in blocks(text, "") for line in block.splitlines()]


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_in_the_guides_exist(guide):
    """Targets of the Makefile, rules, figures, config files and linked pages."""
    text = (HOME / guide).read_text()
    files = (HOME / "Snakefile", *HOME.glob("rules/*.smk"))
    rules = re.findall(r"^ *rule (\w+):", "".join(path.read_text() for path in files), flags=re.MULTILINE)
    targets = re.findall(r"^([a-z0-9-]+):", (HOME / "Makefile").read_text(), flags=re.MULTILINE)
    figures = {figure.name for figure in FIGURES}
    typed = [line for line in commands(text) if line.startswith(("make ", "snakemake "))]
    assert len(typed) > 1
    for line in [*typed, *re.findall(r"`((?:make|snakemake) [^`\n]+)`", text)]:
        for path in re.findall(r"(?:config|profiles)/[\w./-]+", line):
            assert path == OWN or (HOME / path).exists(), line
        first = line.split()[1].rstrip(",")
        if line.startswith("make "):
            assert first in targets, line
        elif first[0] not in "-…" and not first.startswith("results/responses/"):
            figure = first.removeprefix("results/figures/").removesuffix(".png")
            assert first in rules or figure in figures, line
    for file in re.findall(r"\]\(([^)h#][^)#]*)\)", text):
        assert (HOME / guide).parent.joinpath(file).exists(), file


def test_each_page_is_in_the_site():
    """In the order of mkdocs.yml; `make docs` checks the links."""
    site = yaml.safe_load((HOME / "mkdocs.yml").read_text())
    named = re.findall(r"\w+\.md", str(site["nav"]))
    elsewhere = re.findall(r'"(\w+\.md)": "', (HOME / "docs/site.py").read_text())
    assert sorted(named) == sorted([*elsewhere, *(page.name for page in HOME.glob("docs/*.md"))])


@pytest.mark.parametrize("page", PAGES)
def test_no_target_stands_behind_config_files(page):
    """`snakemake --configfile a.yaml target` takes the target for a second config file."""
    text = re.sub(r"\s+", " ", (HOME / page).read_text())
    for files in re.findall(r"snakemake [^`$]*?--configfiles? ((?:[\w./…-]+ ?)+)", text):
        named = list(itertools.takewhile(lambda word: not word.startswith("-"), files.split()))
        assert all(file.rstrip(".,;").endswith((".yaml", "…")) for file in named[:2]), files


def test_a_study_in_a_folder_of_its_own_is_named_to_each_target():
    for target in ("plan", "models", "status", "prune"):
        command = ["make", "-n", "-o", "install", target, f"CONFIG={OWN}", "DIR=studies/mine"]
        said = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True).stdout
        assert f"--configfile {OWN} --directory studies/mine" in said, target
        said = subprocess.run(command[:-2], cwd=HOME, capture_output=True, text=True, check=True).stdout
        assert "--directory" not in said


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^studies/mine: No such file or directory; make this folder first"):
        load_jobs(None, "studies/mine")
    assert Path.cwd() == tmp_path


def test_the_example_of_an_own_study_is_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (HOME / "docs/dataset.md").read_text().partition("## A whole study of your own\n")[2]
    text = text.partition("\n## ")[0]
    (example,) = blocks(text, "yaml")
    write_folder(tmp_path / "lab")
    # The stand-ins lie here, and their test story is short.
    here = {"dataset": {"root": str(tmp_path / "lab")}, "scoring": {"skip_s": 10}}
    for name, content in (("mine.yaml", example), ("here.yaml", yaml.safe_dump(here))):
        (tmp_path / name).write_text(content)
    jobs = load_jobs(["mine.yaml", "here.yaml"], tmp_path)
    fits = jobs.study.grid.cells()
    controls = [m for m, entry in jobs.study.registry.items() if entry.modality == "control"]
    used = [m for m in controls if m in jobs.study.grid.used_models]
    assert set(used) == {"word_rate", "time_since_onset", "autocorrelation"}
    assert f"two models: {len(fits)} fits of two subjects" in " ".join(text.split())
    outputs = {str(job.output.relative_to("results")) for job in jobs.all()}
    named = re.findall(r"`([a-z_/]+\.(?:html|png|parquet))`", text)
    assert len(named) > 4
    assert not [name for name in outputs if name.startswith("figures/map_")], "voxels have no places"
    for file in named:
        made = file.replace("summary", "scores")  # both by one job
        assert made in outputs, file


def test_the_guide_s_published_numbers_are_the_report_s():
    text = (HOME / "docs/reproduce.md").read_text().partition("| claim | published |\n| --- | --- |\n")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n\n")[0].splitlines()]
    assert [tuple(row) for row in rows] == list(PUBLISHED.items())


@pytest.mark.parametrize("page", ["docs/reproduce.md", "docs/cluster.md"])
def test_a_site_file_of_the_pages_is_one(page, tmp_path):
    (text,) = re.findall(r"```yaml\n(cluster:.*?)```", (HOME / page).read_text(), flags=re.DOTALL)
    (tmp_path / "site.yaml").write_text(text)
    assert read_site(tmp_path / "site.yaml")["cluster"]["gpu"]["partition"] == "gpu"


def test_the_last_word_names_a_report_only_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = "results/report.html"
    done = "Done with the requested files; the report is made with the whole study."
    assert status.farewell(report, made=False) == done
    (tmp_path / "results").mkdir()
    (tmp_path / report).touch()
    older = status.farewell(report, made=False)
    assert older.startswith(f"{done} {tmp_path}/results/report.html is of ")
    assert older.endswith(": this run has not compared it with the files as they are now.")
    said = status.farewell(report, made=True)
    assert said == f"Done. Open {tmp_path}/results/report.html; tables and figures are in the same folder."
    assert said.replace(str(tmp_path), "…") in (HOME / "docs/reproduce.md").read_text()
