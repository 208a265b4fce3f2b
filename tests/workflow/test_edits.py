"""What is computed anew after an upgrade: nothing for an edit of code, what follows for a raised version."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from workflow.runs import HOME, Run, snakemake, tiny_config

from voxscale.jobs import FittedCells, load_jobs
from voxscale.jobs.rules import GATHERED
from voxscale.study import load_study

LIBRARY = "workflow/scripts/voxscale"
NOTHING = "Nothing to be done"
MODELS = {"tiny-opt-1", "tiny-opt-2", "tiny-opt-3"}


def config():
    """A law of three language models, and a control."""
    sweeps = {"size": {"models": sorted(MODELS)}, "control": {"models": ["word_rate"]}}
    law = {"sweep": "size", "x": "parameters", "voxels": ["all"]}
    return tiny_config() | {"sweeps": sweeps, "laws": {"opt_size": law}}


def copy_house(house):
    """What of the repository makes the workflow."""
    for name in ("Snakefile", "rules", "config", "profiles", "envs", "workflow"):
        source = HOME / name
        if source.is_dir():
            shutil.copytree(source, house / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, house / name)


def placeholder(path, study):
    """A file in place of an output that no job will read; JSON is looked into by the rules."""
    stories = [*study["dataset"]["training_stories"], *study["dataset"]["test_stories"]]
    content = dict.fromkeys(stories, 120) if path.name == "respdict.json" else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) if path.suffix == ".json" else str(path))


class House:
    """A copy of the workflow beside a study that it has finished: Snakemake noted each job's parameters."""

    def __init__(self, folder):
        self.house, self.study = folder / "house", folder / "study"
        self.house.mkdir()
        self.study.mkdir()
        copy_house(self.house)
        study = config()
        (self.study / "study.yaml").write_text(yaml.safe_dump(study))
        outputs = re.findall(r"^    output: (.*)$", self.run("--dry-run").text, re.MULTILINE)
        for path in re.findall(r"results/[^\s,]+", " ".join(outputs)):
            placeholder(self.study / path, study)
        fits = FittedCells(load_study(study, self.study), self.study)
        for path in (path for cell in fits.study.grid.cells() for path in fits.paths(cell)):
            placeholder(path, study)
        self.run("--touch", "--forceall")

    def run(self, *arguments):
        config = "--configfile", self.study / "study.yaml"
        done = snakemake(self.study, *config, *arguments, snakefile=self.house / "Snakefile")
        assert done.status == 0, done.text[-3000:]
        return done

    def plan(self, *arguments):
        return self.run("--dry-run", *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    made = House(tmp_path_factory.mktemp("edits"))
    assert NOTHING in made.plan().text
    return made


@pytest.fixture
def house(finished):
    """The finished study's workflow, to edit: put back afterwards."""
    yield finished
    shutil.rmtree(finished.house)
    finished.house.mkdir()
    copy_house(finished.house)


def test_a_partial_report_gathers_what_is_there_and_refits_nothing(finished, monkeypatch):
    monkeypatch.chdir(finished.study)
    fits = [job for job in load_jobs("study.yaml").all() if job.rule == "fit_encoding"]
    fits = [job for job in fits if job.wildcards["model"] == "tiny-opt-2"]
    cells = {path: path.read_bytes() for job in fits for path in job.outputs}
    for job in fits:
        job.log.write_text("ERROR fit_encoding: results/features/tiny-opt-2.h5: damaged; delete it\n")
        job.benchmark.unlink(missing_ok=True)
    library = str(finished.house / "workflow/scripts")
    command = [
        sys.executable,
        "-m",
        "voxscale",
        "report",
        "--partial",
        "--configfile",
        "study.yaml",
        "--dry-run",
    ]
    try:
        for path in cells:
            path.unlink()
        done = subprocess.run(
            [*command, "--cores", "1"],
            env=os.environ | {"PYTHONPATH": library},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        for path, content in cells.items():
            path.write_bytes(content)
        shutil.rmtree("results/partial", ignore_errors=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "model tiny-opt-2 is missing: results/features/tiny-opt-2.h5: damaged; delete it" in done.stdout
    assert "law opt_size is missing: fewer than 3 of its models are here" in done.stdout
    rules = Run(0, done.stdout).rules
    assert set(rules) <= {"all", *GATHERED}
    assert {"gather_scores", "draw_figure", "write_report"} <= set(rules)
    outputs = re.findall(r"^    output: (.*)$", done.stdout, re.MULTILINE)
    assert outputs
    assert all(path.startswith("results/partial/") for line in outputs for path in line.split(", "))


def replace(pattern, by):
    """An edit of a file: the first or all matches of a pattern, of which there must be one."""

    def edit(path):
        text, n = re.subn(pattern, by, path.read_text())
        assert n, f"{path} has no {pattern}"
        path.write_text(text)

    return edit


COMMENT = replace(r"\Z", "\n# A comment.\n")
DOCSTRING = replace(r'\A"""', '"""In other words: ')
EDITS = {
    "comment": (f"{LIBRARY}/ridge/solver.py", COMMENT),
    "docstring": (f"{LIBRARY}/ridge/folds.py", DOCSTRING),
    "message": (f"{LIBRARY}/encoding/data.py", replace("lower n_train", "use fewer")),
    "local name": (f"{LIBRARY}/encoding/fit.py", replace(r"\bproblem\b", "task")),
    "comment in a script": ("workflow/scripts/fit_encoding.py", COMMENT),
    "docstring of a script": ("workflow/scripts/fit_encoding.py", DOCSTRING),
    "name in a script": ("workflow/scripts/fit_encoding.py", replace(r"\bscript\b", "run_script")),
    "comment in a rule": ("rules/encoding.smk", COMMENT),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_nothing(house, edit):
    path, change = EDITS[edit]
    change(house.house / path)
    assert NOTHING in house.plan().text


def test_a_module_that_moves_within_its_room_reruns_nothing(house):
    room = house.house / LIBRARY / "ridge"
    (room / "folds.py").rename(room / "splits.py")
    for path in (house.house / LIBRARY).rglob("*.py*"):
        if path.suffix in (".py", ".pyi"):
            text = path.read_text()
            path.write_text(re.sub(r"(ridge\.|from \.)folds\b", r"\1splits", text))
    assert NOTHING in house.plan().text


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_a_new_checkout_reruns_nothing(house, profile):
    for path in house.house.rglob("*"):
        os.utime(path)
    triggers = "--rerun-triggers", *rerun_triggers(profile)
    assert NOTHING in house.plan(*triggers).text


def rerun_triggers(profile):
    return yaml.safe_load((HOME / f"profiles/{profile}/config.yaml").read_text())["rerun-triggers"]


def raised(house, stage):
    """(rule, wildcards) of the jobs that run when a stage's version is raised."""
    replace(rf'("{stage}"): (\d+)', r"\1: 99")(house.house / LIBRARY / "versions.py")
    return house.plan().jobs


def test_a_raised_version_of_laws_reruns_them_and_what_follows(house):
    rules = {rule for rule, _ in raised(house, "laws")}
    assert {"fit_law", "write_report"} <= rules
    assert not rules & {"fit_encoding", "gather_scores", "extract_language_features", "prepare_responses"}


def test_a_raised_version_of_text_reruns_its_features_and_the_fits_on_them(house):
    jobs = raised(house, "text")
    models = {
        rule: {re.search(r"model=([^,]+)", text)[1] for name, text in jobs if name == rule}
        for rule in ("extract_language_features", "fit_encoding")
    }
    assert models["extract_language_features"] == models["fit_encoding"] == MODELS
    rules = {rule for rule, _ in jobs}
    assert {"gather_scores", "fit_law"} <= rules
    assert not rules & {"extract_control_features", "prepare_responses", "prepare_model"}


@pytest.mark.parametrize(
    ("deleted", "made"),
    [
        ("figures/controls.pdf", {"draw_figure": 1, "write_report": 1}),
        ("tables/room.parquet", {"measure_room": 1, "draw_figure": 2, "write_report": 1}),
        ("moments/model=tiny-opt-1/subject=UTS01/layer=2_n_train=4.h5", {"fit_encoding": 1}),
    ],
)
def test_what_is_deleted_is_made_again(finished, deleted, made):
    path = finished.study / "results" / deleted
    content, about = path.read_bytes(), path.stat()
    path.unlink()
    try:
        rules = finished.plan().rules
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert made.items() <= rules.items()
    assert not {"prepare_responses", "extract_language_features"} & rules.keys()
    assert "fit_encoding" in made or set(rules) == {*made, "all"}
