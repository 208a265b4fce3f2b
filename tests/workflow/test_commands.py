"""Every command of every page, beside one small study; or the reason why it is not run here.

Of `snakemake` a dry run reads the config and finds the targets; of `make` the commands of the target are run
like this, too; `voxscale` is run as it is. A small study stands for the published one, which takes long, and
whose jobs `test_paper` makes.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from workflow.runs import HOME, smallest_config, snakemake
from workflow.test_guides import PAGES, commands

from voxscale import cli

RUN = ("make", "snakemake", "voxscale")
# Why the commands of a program are not run, and those that have some words in them.
_NETWORK = ("git", "pip", "hf", "mamba", "conda", "uv", "snakedeploy")
_SHELL = ("cd", "cp", "mv", "mkdir", "source", "export", "echo", "touch", "[", "ruff", "snakefmt")
PROGRAMS = {
    **dict.fromkeys(_NETWORK, "needs a network"),
    **dict.fromkeys(_SHELL, "uses nothing of this repository"),
    **dict.fromkeys(("apptainer", "docker"), "needs an engine of containers and an image"),
    "srun": "needs a cluster",
    "python": "takes minutes to hours, or needs a network",
}
WORDS = {
    "snakemake fetch": "needs the published dataset's list of files, which a test of its own makes",
    "snakemake flatmaps": "needs pycortex",
    "~/.config": "needs the lab's own profile",
    "--unlock": "removes a lock",
    "voxscale regions": "needs an atlas",
    "voxscale export": "needs results",
    "voxscale report": "needs results",
    "make test": "runs tests",
    "config/real.yaml": "needs a download",
    "<": "has a placeholder",
}
_MINE = "config/mine.yaml"
FILLED = {
    **{f"CONFIG={dots}": "CONFIG=config/mine.yaml" for dots in ("…", "...")},
    "DIR=…": "DIR=studies/mine",
    "--configfile …": "--configfile config/mine.yaml",
    " …": "",
    ".venv/bin/": "",
    "score_by_speech_model_size": "map_scores",
    **dict.fromkeys(("config/paper.yaml config/small.yaml", "config/paper.yaml", "config/first.yaml"), _MINE),
}


def commands_of(page):
    """Every command of a page, in a block or in a line."""
    text, names = (HOME / page).read_text(), "|".join(map(re.escape, [*RUN, *PROGRAMS]))
    inline = re.findall(rf"`((?:{names}) [^`|]+)`", text)
    known = re.compile(rf"([A-Z_]+=\S+ )*({names}) ")
    for line in dict.fromkeys([*commands(text), *inline]):
        if known.match(line):
            yield line


def why_not(line):
    """The reason why a command is not run; None for one that is."""
    reasons = [why for words, why in WORDS.items() if words in line]
    return PROGRAMS.get(Path(shlex.split(line)[0]).name) or next(iter(reasons), None)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder like the repository's with a small study of one's own, and the commands that ran in it."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("Makefile", "Snakefile", "rules", "workflow", "profiles", "benchmarks"):
        (folder / name).symlink_to(HOME / name)
    (folder / "config").mkdir()
    for path in HOME.glob("config/*.yaml"):
        (folder / "config" / path.name).symlink_to(path)
    (folder / "config/mine.yaml").write_text(yaml.safe_dump(smallest_config()))
    (folder / "studies/mine").mkdir(parents=True)
    return folder, set()


def run(line, folder, done):
    """Run a command as the module says; `done` has those that have been."""
    for placeholder, value in FILLED.items():
        line = line.replace(placeholder, value)
    line = re.sub(r"^([A-Z_]+=\S+ )*| +#.*$| --cores \w+", "", line)
    if line in done or line.startswith("make: ") or why_not(line):
        return
    done.add(line)
    program, *arguments = shlex.split(line)
    if program == "make":
        command = ["make", "--dry-run", "--no-print-directory", "-o", "install", *arguments]
        # As from a terminal, also where `make test` runs this.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        made = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)
        assert made.returncode == 0, f"{line}: {made.stderr}"
        for part in made.stdout.replace("\\\n", " ").splitlines():
            run(part, folder, done)
    elif program == "snakemake":
        there = next((arguments[i + 1] for i, word in enumerate(arguments) if word == "--directory"), ".")
        (folder / there).mkdir(parents=True, exist_ok=True)
        said = snakemake(folder / there, "--dry-run", *arguments, cwd=folder)
        assert said.status == 0, f"{line}: {said.text}"
    else:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code in (0, None), line


@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_runs(page, lab, monkeypatch, capsys):
    folder, done = lab
    for line in commands_of(page):
        monkeypatch.chdir(folder)  # a command of voxscale changes to its folder
        run(line, folder, done)
