"""The workflow as a module of another: from a folder or git, with a prefix, under other names of rules."""

import pytest
from workflow.runs import HOME, git_repository, smallest_config, snakemake

from voxscale.io import tables

TABLE = "results/tables/all/summary.parquet"


def use(folder, source, *, options="", rules="*", more="", config="config"):
    """Write the Snakefile of a workflow that uses this one; its path."""
    given = f"    config: {config}\n" if config else ""
    module = f'module voxscale:\n    snakefile: "{source}"\n{given}{options}\n'
    snakefile = folder / "Snakefile"
    snakefile.write_text(f"{module}use rule * from voxscale as {rules}\n{more}")
    return snakefile


def tops(folder):
    """Files and folders that a run has left in its working directory, hidden ones apart."""
    return {path.name for path in folder.iterdir() if path.name[0] != "."} - {"Snakefile", "study.yaml"}


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory):
    """A run from a folder, with a prefix and other names; it writes the phantom that other tests read."""
    folder = tmp_path_factory.mktemp("prefixed")
    own = use(folder, HOME / "workflow/Snakefile", options='    prefix: "vox"', rules="vox_*")
    return folder, snakemake(folder, f"vox/{TABLE}", snakefile=own, config=smallest_config())


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A git repository of the working tree, its commit, and an environment with a cache of its own."""
    folder = tmp_path_factory.mktemp("git")
    commit = git_repository(folder / "voxscale")
    return folder / "voxscale", commit, {"XDG_CACHE_HOME": str(folder / "cache")}


@pytest.fixture
def ready(prefixed):
    """The smallest study, on a phantom that has been written."""
    return smallest_config(prefixed[0] / "vox/results/phantom")


def test_everything_follows_a_prefix_under_other_names_of_rules(prefixed):
    folder, run = prefixed
    assert run.status == 0, run.text[-3000:]
    assert run.rules["vox_fit_encoding"] == 1
    assert tops(folder) == {"vox"}
    assert {path.name for path in (folder / "vox").iterdir()} == {"results"}
    assert tables.read("summary", folder / "vox" / TABLE).num_rows > 0
    assert list((folder / "vox/results/features/stories/word_rate").glob("*.h5"))


def test_from_a_folder_under_the_same_names_of_rules(tmp_path, ready):
    run = snakemake(tmp_path, TABLE, snakefile=use(tmp_path, HOME / "workflow/Snakefile"), config=ready)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["scan_phantom"] == 0 < run.rules["fit_encoding"]
    assert tops(tmp_path) == {"results"}


def test_from_git_with_the_library_of_its_commit(tmp_path, ready, repository):
    folder, commit, env = repository
    handlers = "onstart:\n    voxscale.onstart()\nonsuccess:\n    voxscale.onsuccess()\n"
    own = use(tmp_path, f"git+file://{folder}/workflow/Snakefile@v1", rules="vox_*", more=handlers)
    run = snakemake(tmp_path, TABLE, snakefile=own, config=ready, env=env)
    assert run.status == 0, run.text[-3000:]
    assert tables.provenance(tmp_path / TABLE)["code"] == commit
    assert "Done with the requested files" in run.text


def test_from_git_with_a_prefix_and_the_demo_where_there_is_no_config(tmp_path, repository):
    folder, _, env = repository
    source = f"git+file://{folder}/workflow/Snakefile@main"
    own = use(tmp_path, source, options='    prefix: "vox"', rules="vox_*", config=None)
    run = snakemake(tmp_path, "--dry-run", snakefile=own, env=env)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["vox_fit_encoding"] > 40
    paths = [line for line in run.text.splitlines() if line.startswith(("    output: ", "    log: "))]
    assert paths
    assert not [line for line in paths if " results/" in line]


def test_downloads_stay_local_jobs_under_other_names(tmp_path):
    config = HOME / "config/first.yaml"
    more = 'print("LOCAL", *sorted(workflow._localrules))\n'  # no dry-run says which are
    own = use(tmp_path, HOME / "workflow/Snakefile", rules="vox_*", more=more)
    run = snakemake(tmp_path, "--dry-run", "vox_models", "vox_fetch", "--configfile", config, snakefile=own)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["vox_prepare_model"] > 0 < run.rules["vox_fetch_dataset"]
    assert "LOCAL vox_fetch vox_fetch_dataset vox_prepare_model\n" in run.text


def test_what_does_not_work_is_one_line(tmp_path, repository):
    folder, _, env = repository
    own = use(tmp_path, HOME / "workflow/Snakefile", options='    replace_prefix: {"results/": "mine/"}')
    run = snakemake(tmp_path, "--dry-run", snakefile=own, config=smallest_config())
    assert run.status == 1
    assert "replace_prefix is not supported; use prefix" in run.text
    own = use(tmp_path, HOME / "workflow/Snakefile")
    other = own.read_text().replace("voxscale", "other")
    other = other.replace(str(HOME / "workflow/Snakefile"), f"git+file://{folder}/workflow/Snakefile@v1")
    with own.open("a") as file:
        file.write(other.replace("as *", "as other_*"))
    run = snakemake(tmp_path, "--dry-run", snakefile=own, config=smallest_config(), env=env)
    assert run.status == 1
    assert "a workflow can have one only" in run.text
