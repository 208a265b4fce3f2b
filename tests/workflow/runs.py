"""Runs of the workflow in a folder of their own."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml
from workflow.quick_python import quick_python

HOME = Path(__file__).parents[2]
HANGS_S = 7200  # a run that takes longer hangs; on a busy machine the demo takes long as well


@dataclass
class Run:
    """What one call of snakemake said."""

    status: int
    text: str

    @property
    def jobs(self):
        """(rule, wildcards as text) of every job that was planned, or that ended in a run."""
        lines = re.findall(
            r"^(?: *\d+/\d+|FAILED|stopped:) (\w+)(.*?)(?: \d+ s)?$", self.text, flags=re.MULTILINE
        )
        found = [(rule, wildcards.strip().replace(" ", ", ")) for rule, wildcards in lines if rule != "all"]
        for block in re.split(r"^(?=(?:local)?rule \w+:|(?:local)?rule \w+:)", self.text, flags=re.MULTILINE):
            if rule := re.match(r"(?:local)?rule (\w+):", block):
                wildcards = re.search(r"^    wildcards: (.*)$", block, flags=re.MULTILINE)
                found.append((rule.group(1), wildcards.group(1) if wildcards else ""))
        return found

    @property
    def rules(self):
        """How many jobs of each rule."""
        return Counter(rule for rule, _ in self.jobs)

    @property
    def errors(self):
        """Lines that tell a user's mistake."""
        return [
            line for line in self.text.splitlines() if ": " in line and ("key" in line or "ERROR" in line)
        ]


def snakemake(
    folder,
    *arguments,
    config=None,
    cores=2,
    snakefile=HOME / "Snakefile",
    env=None,
    cwd=None,
    fresh=False,
):
    """Call snakemake on this workflow, or another Snakefile, its results under `folder`.

    Args:
        env: variables to be added to the environment.
        cwd: the folder the command is typed in, where Snakemake looks for profiles. None: the present one.
        fresh: start Snakemake and its jobs as a user does, not by `quick_python`, which shares imports.
    """
    python = sys.executable if fresh else quick_python()
    command = [python, Path(sys.executable).parent / "snakemake", "--snakefile", snakefile]
    command += ["--directory", folder, "--cores", str(cores), "--nocolor", *arguments]
    if config is not None:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(config))
        command += ["--configfile", path]
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS_S,
        check=False,
        env=os.environ | (env or {}),
        cwd=cwd,
    )
    return Run(done.returncode, done.stdout)


def demo_config():
    """The demo's config, to change for a test."""
    return yaml.safe_load((HOME / "config/demo.yaml").read_text())


def tiny_config():
    """A study that runs in seconds: two subjects, five cut stories, one language model and a control."""
    config = demo_config()
    config["dataset"] |= {
        "subjects": ["UTS01", "UTS02"],
        "training_stories": ["nightbaker", "beekeeping", "thelasttrain", "wintercrossing"],
    }
    config["phantom"] = {"voxels": 60, "repeats": 4, "words_per_story": 60}
    config["scoring"] = {"skip_s": 20, "permutations": 50}
    config["bootstrap"] = {"draws": 50}
    config["sweeps"] = {"size": {"models": ["tiny-opt-1", "word_rate"], "n_train": [2, "all"], "draws": 2}}
    config["controls"] = {"features": [], "untrained": "none"}
    config["laws"] = {}
    config["joint"] = {}
    config["profiles"] = {}
    config["stacking"] = {"members": []}
    return config


def smallest_config(root="results/phantom"):
    """A study of a dozen short jobs: one subject, three short stories, one control and no network."""
    config = tiny_config()
    config["dataset"] |= {
        "root": str(root),
        "subjects": ["UTS01"],
        "training_stories": ["nightbaker", "beekeeping"],
    }
    config["dataset"]["voxels"] = f"{root}/derivative/voxels/{{subject}}.tsv"
    config["phantom"]["voxels"] = 20
    return config | {"sweeps": {"size": {"models": ["word_rate"]}}}


def git_repository(folder):
    """A git repository in a new folder, whose one commit, with tag v1, is the working tree as it is.

    Returns:
        the commit.
    """

    def git(*arguments):
        command = ["git", "-c", "user.name=lab", "-c", "user.email=lab@example.org", *arguments]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    folder.mkdir()
    git("init", "--initial-branch", "main")
    git("--git-dir", folder / ".git", "--work-tree", HOME, "add", "--all")
    git("commit", "--message", "The working tree")
    git("reset", "--hard")
    git("tag", "v1")
    return git("rev-parse", "HEAD")


def fixed_width_config():
    """The tiny study with a law of language models, under a name of its own, and its arm of fixed width."""
    config = tiny_config()
    config["sweeps"]["size"] = {"models": ["tiny-opt-1", "tiny-opt-2", "tiny-opt-3"]}
    law = {"sweep": "size", "x": "parameters", "voxels": ["all"]}
    return config | {"laws": {"opt_size": law}, "plateau": {"width": 8}}
