"""What a cluster is given with each kind of job: from the config, and from a file for all of a lab."""

from pathlib import Path

import pytest
import yaml
from workflow.runs import tiny_config

from voxscale.errors import UserError
from voxscale.study import load_study
from voxscale.study.site import VARIABLE, site_file

LAB = {
    "all": {"account": "lab", "extra": "--reservation=lab"},
    "gpu": {"partition": "gpu", "gres": "gpu:a100"},
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Writes the lab's file."""
    path = tmp_path / "site.yaml"
    monkeypatch.setenv(VARIABLE, str(path))

    def write(content):
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def study(**blocks):
    return load_study(tiny_config() | blocks)


def test_the_config_wins_over_the_site_file_key_by_key_and_null_takes_a_key_away(site):
    path = site({"cluster": LAB, "container": "images/voxscale.sif"})
    found = study(cluster={"all": {"extra": None, "account": 1234}, "gpu": {"partition": "long,gpu"}})
    cluster = found.cluster
    assert cluster.resources("gpu") == {
        "slurm_account": "1234",
        "slurm_partition": "long,gpu",
        "gres": "gpu:a100",
    }
    assert cluster.resources("cpu") == cluster.resources("download") == {"slurm_account": "1234"}
    assert cluster.gpu == {"account": 1234, "partition": "long,gpu", "gres": "gpu:a100"}
    assert cluster.place("gpu", "account") == "config key cluster.all.account"
    assert cluster.place("gpu", "gres") == f"{path}: cluster.gpu.gres"
    assert cluster.place("cpu", "qos") == "config key cluster.cpu.qos"
    assert found.container == str(path.parent / "images/voxscale.sif")
    assert study(container="mine.sif").container == str(Path("mine.sif").absolute())
    assert not {"cluster", "container"} & found.config.keys()  # so that no result depends on them
    assert study(cluster={"gpu": None}).cluster.gpu is None


def test_without_any_there_is_nothing(site):
    site(None)
    found = study()
    assert found.cluster.resources("gpu") == {}
    assert found.cluster.gpu is found.container is None
    assert not found.cluster.submits_downloads
    assert study(cluster={"download": {}}).cluster.submits_downloads


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"cluster": {"gpus": {}}}, "config key cluster: unknown key gpus; did you mean gpu"),
        (
            {"cluster": {"gpu": {"partion": "a"}}},
            "config key cluster.gpu: unknown key partion; did you mean partition?",
        ),
        (
            {"cluster": {"cpu": {"max_cores": 0}}},
            "config key cluster.cpu.max_cores: 0 is less than the minimum of 1",
        ),
        ({"encoding": {}}, "config key top level: unknown key encoding; there are cluster, container"),
    ],
)
def test_a_mistake_is_one_line_with_its_file(site, content, line):
    path = site(content)
    with pytest.raises(UserError) as error:
        study()
    assert str(error.value).startswith(f"{path}: {line}")
    if "cluster" in content:
        site({})
        with pytest.raises(UserError) as error:
            study(**content)
        assert str(error.value).startswith(line)


def test_the_file_is_that_of_the_variable_or_of_the_user_s_configs(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert site_file() is None
    path = tmp_path / "voxscale/site.yaml"
    path.parent.mkdir()
    path.touch()
    assert site_file() == path
    assert site_file() == path  # now by the variable, which jobs inherit
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.yaml"))
    with pytest.raises(UserError, match=r"other.yaml: no such file"):
        study()
