"""A rule with a table and a figure is added to a copy of the workflow: at most seven files, and it runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from workflow.quick_python import quick_python
from workflow.runs import HOME, tiny_config

LIBRARY = "workflow/scripts/voxscale"
RULE = '''

rule count_words:
    """Words of each story."""
    input:
        words=all_of("read_story", "words"),
    output:
        **made("count_words"),
    log:
        log_of("count_words"),
    benchmark:
        benchmark_of("count_words")
    conda:
        "../envs/voxscale.yaml"
    resources:
        **needs("count_words"),
    params:
        **parameters("count_words"),
    script:
        "../workflow/scripts/count_words.py"
'''
SCRIPT = '''"""Words of each story."""

from collections.abc import Sequence
from pathlib import Path

from voxscale.io import tables
from voxscale.provenance import collect
from voxscale.script import script


def count_words(stories: Sequence[str], words: Sequence[str | Path], output: str | Path) -> None:
    """Write table `word_counts`."""
    counts = [tables.read("words", path).num_rows for path in words]
    tables.write("word_counts", {"story": stories, "n_words": counts}, output, collect())


if "snakemake" in globals():
    with script(snakemake):
        count_words(snakemake.params.stories, snakemake.input.words, snakemake.output.word_counts)
'''
RECORD = """    Rule(
        "count_words",
        outputs={"word_counts": "results/tables/word_counts.parquet"},
        need=light,
        params={"stories": lambda study, w: study.stories},
        numbers=("stories",),
    ),
)
"""
TABLE = """
## word_counts

| column | type | unit | meaning |
| --- | --- | --- | --- |
| story | string | name | story as the dataset names it |
| n_words | int32 | words | words in the story |
"""
FIGURE = """word_counts:
  draw: distributions.draw_word_counts
  category: Data
  tables: {word_counts: each}
  caption: Words of each story.
"""
DRAWING = '''

def draw_word_counts(word_counts: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Words of each story, the longest on top.

    Args:
        word_counts: table `word_counts`.
    """
    shown = word_counts.sort_values("n_words")
    figure, axes = style.grid(height=1.0 + 0.3 * len(shown))
    axes.barh(range(len(shown)), shown.n_words)
    style.name_rows(axes, range(len(shown)), list(shown.story))
    axes.set_xlabel("words")
    return figure, shown
'''
TEST = '''"""Every word is counted once."""

from count_words import count_words

from voxscale.io import tables


def test_words_are_counted(tmp_path):
    path = tmp_path / "words.parquet"
    words = {"story": ["a"] * 3, "index": range(3), "word": ["one", "two", "two"]}
    tables.write("words", words | {"onset_s": [0.0, 1, 2], "offset_s": [0.5, 1.5, 2.5]}, path)
    count_words(["a"], [path], tmp_path / "counts.parquet")
    counts = tables.read("word_counts", tmp_path / "counts.parquet")
    assert counts.to_pylist() == [{"story": "a", "n_words": 3}]
'''


def replace_end(text, addition):
    """A module's text with more in the tuple that it ends with."""
    assert text.endswith(")\n")
    return text.removesuffix(")\n") + addition


CHANGES = {  # file -> its new text, from the text it has
    "rules/dataset.smk": lambda text: text + RULE,
    "workflow/scripts/count_words.py": lambda text: SCRIPT,
    f"{LIBRARY}/jobs/data.py": lambda text: replace_end(text, RECORD),
    f"{LIBRARY}/io/tables.md": lambda text: text + TABLE,
    f"{LIBRARY}/jobs/figures.yaml": lambda text: text + FIGURE,
    f"{LIBRARY}/figures/distributions.py": lambda text: text + DRAWING,
    "tests/unit/dataset/test_count_words.py": lambda text: TEST,
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the workflow with the toy rule, and a tiny study beside it."""
    home = tmp_path_factory.mktemp("toy")
    ignored = shutil.ignore_patterns("__pycache__")
    for source in HOME.iterdir():
        if source.is_file():
            shutil.copy(source, home)
        elif not source.name.startswith(".") and source.name not in ("results", "benchmarks"):
            shutil.copytree(source, home / source.name, ignore=ignored, symlinks=True)
    for name, change in CHANGES.items():
        path = home / name
        path.write_text(change(path.read_text() if path.exists() else ""))
    (home / "study.yaml").write_text(yaml.safe_dump(tiny_config()))
    return home


def run(home, *command):
    environment = {**os.environ, "PYTHONPATH": str(home / "workflow/scripts"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_it_takes_few_files():
    assert len(CHANGES) <= 7


@pytest.mark.slow
def test_it_runs_to_its_table_and_figure(copy):
    command = quick_python(), Path(sys.executable).parent / "snakemake", "--cores", "2"
    target = "results/figures/word_counts.png"
    run(copy, *command, target, "--configfile", "study.yaml", "--directory", copy / "run")
    table = pd.read_parquet(copy / "run/results/tables/word_counts.parquet")
    assert set(table.story) == {path.name for path in (copy / "run/results/stories").iterdir()}
    assert (table.n_words > 50).all()
    assert (copy / "run" / target).stat().st_size > 1000
    numbers = pd.read_csv(copy / "run/results/figures/word_counts.csv")
    assert sorted(numbers.n_words) == sorted(table.n_words)


@pytest.mark.slow
def test_it_is_planned_documented_and_tested(copy):
    plan = run(copy, sys.executable, "-m", "voxscale", "plan", "--configfile", "study.yaml")
    assert ["count_words", "1"] in [line.split()[:2] for line in plan.splitlines()]
    tests = (
        *("tests/unit/dataset/test_count_words.py", "tests/unit/io/test_table_docs.py"),
        *("tests/workflow/test_imports.py", "tests/workflow/test_house.py"),
        "tests/workflow/test_plan_matches.py::test_every_job_is_priced_once_and_no_other[tiny]",
    )
    # Pins and the format of all files say nothing of this rule.
    left_out = "not format_and_lint and not pins and not config_key and not readme"
    run(copy, sys.executable, "-m", "pytest", "-n", "0", "-k", left_out, *tests)
