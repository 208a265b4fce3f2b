"""After a change of config, data or versions one run leaves nothing that a second one would make again."""

import json
import os

from workflow.runs import smallest_config, snakemake

from voxscale.jobs.notes import file_of

# As in the workflow: a fit does not run again only because its features do.
CHAINS = """
from pathlib import Path

from voxscale.cluster import compare_behind_ancient, pass_over_damaged_records, pass_over_times

pass_over_damaged_records()
compare_behind_ancient(
    *(Path(name).read_text().split() if Path(name).exists() else [] for name in ("outdated", "new_content"))
)
pass_over_times(["own"], ["other"])
OUTPUTS = ("source", "other", "fit", "table")

rule all:
    input: expand("{chain}/{output}", chain=config, output=OUTPUTS)

rule source:
    output: "{chain}/source"
    params: lambda wildcards: config[wildcards.chain]["source"]
    shell: "echo > {output}"

rule other:
    input: "own"
    output: "{chain}/other"
    params: lambda wildcards: config[wildcards.chain]["other"]
    shell: "echo > {output}"

rule fit:
    input: ancient("{chain}/source"), "{chain}/other"
    output: "{chain}/fit"
    params: lambda wildcards: config[wildcards.chain]["fit"]
    shell: "echo > {output}"

rule table:
    input: "{chain}/fit"
    output: "{chain}/table"
    params: lambda wildcards: config[wildcards.chain]["table"]
    shell: "echo > {output}"
"""
# What changes besides the source, and what must run besides it.
FOLLOWING = {
    "nothing": set(),
    "other": {"other", "fit", "table"},
    "fit": {"fit", "table"},
    "table": {"table"},
    "damaged_record": {"fit", "table"},
    "deleted_fit": {"fit", "table"},
    "deleted_table": {"table"},
    "another_input": {"other", "fit", "table"},
}


def test_what_lies_behind_an_ancient_input_is_compared(tmp_path):
    (tmp_path / "Snakefile").write_text(CHAINS)
    (tmp_path / "own").write_text("of the user")
    before = {rule: f"{rule} 1" for rule in ("source", "other", "fit", "table")}

    def run(config, *arguments):
        (tmp_path / "config.json").write_text(json.dumps(config))
        options = "--configfile", tmp_path / "config.json", *arguments
        done = snakemake(tmp_path, *options, snakefile=tmp_path / "Snakefile")
        assert done.status == 0, done.text
        return done

    run(dict.fromkeys(FOLLOWING, before), "--quiet")
    changed = {chain: before | {"source": "source 2"} for chain in FOLLOWING}
    for chain in ("other", "fit", "table"):
        changed[chain][chain] += " changed"
    for rule in ("fit", "table"):
        (tmp_path / f"deleted_{rule}/{rule}").unlink()
    file_of("damaged_record/fit", "metadata", tmp_path / ".snakemake").write_bytes(b"\xff garbage")
    (tmp_path / "outdated").write_text("damaged_record/fit")
    (tmp_path / "new_content").write_text("another_input/other")
    os.utime(tmp_path / "own")  # its content is compared, its time is not
    ran = {(text.partition("=")[2], rule) for rule, text in run(changed).jobs if rule != "all"}
    assert ran == {(chain, rule) for chain, rules in FOLLOWING.items() for rule in {"source", *rules}}
    (tmp_path / "outdated").unlink()
    (tmp_path / "new_content").unlink()
    assert "Nothing to be done" in run(changed, "--dry-run").text


def test_a_changed_study_ends_as_a_fresh_one(tmp_path):
    """Byte for byte, after a key of the fits and one of the features have changed, one at a time."""
    config = smallest_config() | {"sweeps": {"size": {"models": ["tiny-opt-1"], "layers": "last"}}}
    changed, fresh = tmp_path / "changed", tmp_path / "fresh"

    def run(folder):
        folder.mkdir(exist_ok=True)
        done = snakemake(folder, "results/tables/all/summary.parquet", config=config)
        assert done.status == 0, done.text[-3000:]
        return done.rules

    run(changed)
    before = results(changed)
    config["encoding"] = {"delays": [1, 2]}
    assert run(changed).keys() == {"fit_encoding", "gather_scores"}
    between = results(changed)
    config["features"] = {"text": {"max_context": 20, "restart_at": 10}}
    assert run(changed).keys() == {"extract_language_features", "fit_encoding", "gather_scores"}
    run(fresh)
    after, expected = results(changed), results(fresh)
    scores = "tables/all/scores.parquet"
    assert len({before[scores], between[scores], after[scores]}) == 3
    # Stories' features of other settings are kept for a return to them.
    assert {name: content for name, content in after.items() if name in expected} == expected
    assert all(name.startswith("features/stories/") for name in after.keys() - expected.keys())


def results(folder):
    """Content of each file that a study has made."""
    root = folder / "results"
    files = (path for path in root.rglob("*") if path.is_file())
    named = {path.relative_to(root).as_posix(): path for path in files}
    return {name: p.read_bytes() for name, p in named.items() if not name.startswith(("logs", "benchmarks"))}
