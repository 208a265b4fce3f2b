"""The workflow as the catalog of workflows has it used: deployed by snakedeploy, from a tagged release."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow.runs import HOME, git_repository, smallest_config, snakemake

ADDRESS = "https://github.com/lab/voxscale"


SNAKEDEPLOY = Path(sys.executable).parent / "snakedeploy"
pytestmark = pytest.mark.skipif(not SNAKEDEPLOY.exists(), reason="snakedeploy has no release for this Python")


@pytest.fixture
def env(tmp_path):
    """An environment in which the published repository is one of this machine, with the working tree."""
    git_repository(tmp_path / "published")
    to_local = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/published.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    return to_local | {"GITHUB_TOKEN": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_a_deployed_workflow_runs(tmp_path, env):
    place = tmp_path / "deployed"
    command = [SNAKEDEPLOY, "deploy-workflow", ADDRESS, place, "--tag", "v1"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | env)
    snakefile = place / "workflow/Snakefile"
    assert 'github("lab/voxscale", path="workflow/Snakefile", tag="v1")' in snakefile.read_text()
    demo = snakemake(place, "--dry-run", snakefile=snakefile, env=env, cwd=place)
    assert demo.status == 0, demo.text[-3000:]
    assert demo.rules["fit_encoding"] > 40
    # The template is the demo's config, a file of its own to be edited.
    config = place / "config/config.yaml"
    assert config.read_text() == (HOME / "config/demo.yaml").read_text()
    config.write_text(yaml.safe_dump(smallest_config()))
    run = snakemake(place, "results/tables/all/summary.parquet", snakefile=snakefile, env=env, cwd=place)
    assert run.status == 0, run.text[-3000:]
    assert run.rules["gather_scores"] == 1
    assert "Using workflow specific profile profiles/default" in run.text
